"""The settings of the stock server: found, made where there are none, and refused where they are not safe.

Without any configuration there are two files in the current folder: the database, and beside it the secret that makes
user ids. Who has lost the secret has lost the users, so it is written once and never replaced.

Source: objects, section 26; reliability, C23 and P23.
"""

import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from kobako.backends import sqlite_path
from kobako.permission.base import EVERYONE
from kobako.settings import DEFAULT_PORT, Settings, SettingsError, read_settings
from kobako.settings.dotted import METRICS

INI_VARIABLES = ("KOBAKO_INI", "KINTO_INI")
INI_PLACES = (Path("config/kobako.ini"), Path("kobako.ini"), Path("config/kinto.ini"))
"""Where a configuration is looked for, and the first where one is written."""
MEMORY = {"storage_backend": ["memory"], "permission_backend": ["memory"], "cache_backend": ["memory", ""]}
"""What keeps data in the process."""
EXAMPLE_SECRETS = {"some-secret-string", "a-secret-string", "secret", "changeme", "change-me", "abc"}


def named_ini(environ: Mapping[str, str]) -> Path | None:
    """Return the configuration that the environment names."""
    return next((Path(environ[name]) for name in INI_VARIABLES if environ.get(name)), None)


def find_ini(environ: Mapping[str, str]) -> Path | None:
    """Return the configuration that the environment names, or that lies where one would look; None: there is none."""
    return named_ini(environ) or next((place for place in INI_PLACES if place.is_file()), None)


def load(ini: Path | None, environ: Mapping[str, str], http_port: int = DEFAULT_PORT) -> Settings:
    """Return the settings of the stock server; without a configuration the secret is one of its own.

    Raises SettingsError.
    """
    settings = read_settings(ini, environ, http_port=http_port)
    if ini is None and not settings.userid_hmac_secret:
        settings = replace(settings, userid_hmac_secret=_own_secret(settings))
    if not settings.userid_hmac_secret and any(each.kind == "basicauth" for each in settings.policies):
        raise SettingsError("Setting 'userid_hmac_secret' is empty: basicauth needs a long random text.")
    return settings


def secret_file(settings: Settings) -> Path | None:
    """Return where the secret is kept when no configuration has it; None for a database in memory."""
    if settings.storage_backend != "sqlite":
        return None
    return sqlite_path("storage_url", settings.storage_url).absolute().parent / "kobako.secret"


def is_new(settings: Settings) -> bool:
    """Tell whether the database is a file that is not there yet, so that making it changes nobody's data.

    Raises BackendUnavailable.
    """
    if settings.storage_backend != "sqlite":
        return False
    from kobako.databases import sqlite

    return sqlite.is_empty(sqlite_path("storage_url", settings.storage_url))


def without_metrics(settings: Settings) -> Settings:
    """Return the settings of a process that serves nothing."""
    return replace(settings, includes=tuple(each for each in settings.includes if each not in METRICS), statsd_url=None)


def check_workers(settings: Settings, workers: int) -> None:
    """Raise SettingsError where several processes would not see the same data."""
    for name, kinds in MEMORY.items():
        kind = getattr(settings, name)
        if workers > 1 and kind in kinds:
            raise SettingsError(f"Setting '{name}' is '{kind}': each of {workers} workers would have data of its own.")


def is_in_memory(settings: Settings) -> bool:
    """Tell whether the objects are in the memory of the server, which no other process sees."""
    return settings.storage_backend in MEMORY["storage_backend"]


def check_others_see(settings: Settings) -> None:
    """Raise SettingsError where no other process sees the objects."""
    if is_in_memory(settings):
        raise SettingsError("Setting 'storage_backend' is 'memory': only the server itself sees what is in it.")


def advice(settings: Settings) -> list[str]:
    """Return a sentence for each setting that is allowed, and hardly meant for a server that others use."""
    found = [
        f"Setting '{name}_principals' has {EVERYONE}: no user name is needed for that."
        for name, principals in settings.principals_by_permission.items()
        if EVERYONE in principals and name not in ("permissions_read", "account_create")
    ]
    secret = settings.userid_hmac_secret
    if settings.policies and (secret.lower() in EXAMPLE_SECRETS or len(secret) < 16):
        found.append("Setting 'userid_hmac_secret' is short or an example: user ids can be guessed.")
    if not settings.policies:
        found.append("Setting 'multiauth.policies' is empty: nobody can say who they are.")
    if settings.http_scheme not in (None, "https"):
        found.append(f"Setting 'http_scheme' is '{settings.http_scheme}': passwords travel in the open.")
    if settings.storage_backend == "memory":
        found.append("Setting 'storage_backend' is 'memory': all data is lost when the server stops.")
    elif settings.permission_backend == "memory":
        found.append("Setting 'permission_backend' is 'memory': who may do what is lost when the server stops.")
    if settings.readonly and settings.cache_backend == "postgresql":
        found.append("Setting 'cache_backend' is 'postgresql': a cache is written to, so a standby can not hold it.")
    if not settings.storage_backend:
        found.append("Setting 'storage_backend' is empty: there are no objects, nor endpoints for them.")
    return found


def _own_secret(settings: Settings) -> str:
    path = secret_file(settings)
    if path is None:
        return secrets.token_hex(32)
    # The order matters when two start at once: a database is made after its secret, so one that was there before
    # a secret was found missing has lost it.
    was_new = is_new(settings)
    try:
        if not path.exists():
            if not was_new:
                raise SettingsError(f"{path} is missing, without which the users of the database are strangers.")
            _write_once(path, secrets.token_hex(32) + "\n")
        secret = path.read_text().strip()
    except OSError as error:
        raise SettingsError(f"{path} cannot be used: {error.strerror}.") from error
    if not secret:
        raise SettingsError(f"{path} is empty: it has to hold the secret of the user ids.")
    return secret


def _write_once(path: Path, text: str) -> None:
    """Make a file that only its owner reads. Nobody sees it unfinished; of two who make it, one does."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    try:
        with suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
