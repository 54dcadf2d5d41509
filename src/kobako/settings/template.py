"""The configuration that `kobako init` writes: a few settings that count, all others as comments with their defaults.

Source: objects, section 26.3.
"""

import secrets
from typing import Any

from kobako.settings import dotted
from kobako.settings.fields import EventListener, Policy, family_docs, rows

URLS = {
    ("storage", "sqlite"): "sqlite:///%(here)s/kobako.db",
    ("cache", "sqlite"): "sqlite:///%(here)s/kobako-cache.db",
    **dict.fromkeys(
        [("storage", "postgresql"), ("cache", "postgresql")], "postgresql://postgres:postgres@localhost/postgres"
    ),
    **dict.fromkeys([("storage", "redis"), ("cache", "redis")], "redis://127.0.0.1/0"),
}

MEMCACHED_HOSTS = "127.0.0.1:11211 127.0.0.2:11211"

INCLUDED = ("default_bucket", "admin", "accounts", "# history")
"""The plugins that are switched on, or offered in a comment: those of them that are there."""

OF_ACCOUNTS = {
    "account_create_principals": "Who may create accounts: anybody may sign up.",
    "account_write_principals": "Who may change any account: `kobako create-user -u admin` makes this one.",
    "bucket_create_principals": "Who may create buckets; users have a default bucket of their own.",
}
"""Sentences about settings that are in no table."""

TEMPLATE = """\
# Configuration of Kobako. Lines that begin with # are comments: most show a setting with its default.
# %(here)s is the folder of this file. A variable KOBAKO_<SETTING> in the environment wins over what is said here.

[server:main]
host = {host}
port = %(http_port)s

[app:main]
{active}

# All other settings, with their defaults.
{defaults}

# Settings that exist for each type of object: bucket, collection, group, record.
{families}

[loggers]
keys = root, kobako

[handlers]
keys = console

[formatters]
keys = color, json

[logger_root]
level = INFO
handlers = console

[logger_kobako]
level = DEBUG
handlers = console
qualname = kobako
propagate = 0

[handler_console]
class = StreamHandler
args = (sys.stderr,)
level = NOTSET
formatter = color

# Colours appear in terminals only. To have one JSON object a line, say `formatter = json` above.
[formatter_color]
class = kobako.logs.TextFormatter
format = %(levelname)-5s  %(message)s

[formatter_json]
class = kobako.logs.JsonFormatter
"""


def render(backend: str, cache_backend: str, host: str) -> str:
    """Return the text of a configuration, with secrets of its own."""
    active = {
        "storage_backend": backend,
        "storage_url": URLS.get(("storage", backend), ""),
        "cache_backend": cache_backend,
        "cache_url": URLS.get(("cache", cache_backend), ""),
        "cache_hosts": MEMCACHED_HOSTS if cache_backend == "memcached" else "",
        "userid_hmac_secret": secrets.token_hex(32),
        "default_bucket_hmac_secret": secrets.token_hex(32),
        "includes": _included(),
        "multiauth.policies": "account",
        "multiauth.policy.account.use": "kinto.plugins.accounts.AccountsPolicy",
        "account_create_principals": "system.Everyone",
        "account_write_principals": "account:admin",
        "bucket_create_principals": "account:admin",
    }
    docs = {row.name: row.doc for row in rows()} | OF_ACCOUNTS
    follows = {"permission_backend": backend, "permission_url": active["storage_url"], "prometheus_prefix": "null"}
    # Values are interpolated, so a URL's %(here)s goes in as it is.
    return TEMPLATE.format(
        host=host,
        active="\n".join(_active(name, value, docs.get(name, "")) for name, value in active.items() if value),
        defaults="\n".join(
            f"# {row.doc}\n# kobako.{row.name} = {follows.get(row.name, shown(row.default))}".rstrip()
            for row in rows()
            if not active.get(row.name)
        ),
        families="\n".join(f"# {doc}" for doc in family_docs()),
    )


def _included() -> str:
    names = [each for each in INCLUDED if each.removeprefix("# ") in dotted.PLUGINS]
    return "".join(f"\n    {each}" for each in names)


def _active(name: str, value: str, doc: str) -> str:
    prefix = "" if name.startswith("multiauth.") else "kobako."
    line = f"{prefix}{name} = {value}".replace(" = \n", " =\n")
    return (f"# {doc}\n" if doc else "") + line


def shown(value: Any) -> str:
    """Return a default as a file would have it.

    >>> shown(None), shown(True), shown(("*",)), shown(10.0)
    ('', 'true', '*', '10')
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, tuple):
        return " ".join(each.name if isinstance(each, Policy | EventListener) else str(each) for each in value)
    return str(value)
