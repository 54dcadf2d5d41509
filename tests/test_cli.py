"""The command line: what each command writes, prints and refuses. Servers that run are in tests/server.

Source: objects, section 26; reliability, C23 and P23.
"""

import re
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from kobako import stock
from kobako.cli import cli
from kobako.settings import Settings, SettingsError

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command in an empty folder, with these variables."""
    monkeypatch.chdir(tmp_path)
    for name in stock.INI_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    return lambda *arguments, **environ: CliRunner().invoke(cli, arguments, env=environ)


@pytest.fixture
def refused(run: Run) -> Callable[..., str]:
    """Run a command that has to fail, and return the one line it says why."""

    def refused(*arguments: str, **environ: str) -> str:
        result = run(*arguments, **environ)
        assert result.exit_code == 1, result.output
        [line] = [each for each in result.stderr.splitlines() if not each.startswith(("INFO", "WARNING"))]
        return line

    return refused


def write(lines: str, name: str = "kobako.ini") -> str:
    Path(name).write_text(f"[app:main]\n{lines}\n")
    return name


# Usage, version


@pytest.mark.parametrize("arguments", [(), ("frobnicate",), ("start", "--frobnicate"), ("start", "--workers", "0")])
def test_a_wrong_use_shows_the_usage_with_status_2(run: Run, arguments: tuple[str, ...]) -> None:
    result = run(*arguments)

    assert result.exit_code == 2
    assert "Usage: " in result.output


def test_version_prints_the_version_alone(run: Run) -> None:
    assert run("version").stdout == version("kobako") + "\n"


def test_the_package_runs_as_a_command() -> None:
    output = subprocess.check_output([sys.executable, "-m", "kobako", "version"], text=True)

    assert output == version("kobako") + "\n"


# Init


def test_init_writes_a_configuration_for_its_owner_and_says_where(run: Run, tmp_path: Path) -> None:
    result = run("init", "--ini", "new/folder/kobako.ini")

    path = tmp_path / "new" / "folder" / "kobako.ini"
    assert result.stderr == f"INFO   Created config {path}\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stock.load(path, {}).storage_url == f"sqlite:///{path.parent}/kobako.db"


def test_init_writes_other_secrets_each_time(run: Run) -> None:
    run("init", "--ini", "a.ini")
    run("init", "--ini", "b.ini")

    secrets = [re.findall(r"hmac_secret = ([0-9a-f]{64})$", Path(f"{name}.ini").read_text(), re.M) for name in "ab"]
    assert len({*secrets[0], *secrets[1]}) == 4


def test_init_has_every_setting_with_its_sentence(run: Run) -> None:
    run("init", "--ini", "kobako.ini")

    from kobako.settings.fields import rows

    text = Path("kobako.ini").read_text()
    assert [row.name for row in rows() if f"{row.name} = " not in text and f"{row.name} =\n" not in text] == []
    assert [row.name for row in rows() if f"# {row.doc}\n" not in text] == []


def test_init_takes_backends_and_host(run: Run) -> None:
    run("init", "--ini", "kobako.ini", "--backend", "memory", "--cache-backend", "sqlite", "--host", "0.0.0.0")

    settings = stock.load(Path("kobako.ini"), {})
    assert (settings.storage_backend, settings.cache_backend) == ("memory", "sqlite")
    assert "host = 0.0.0.0\n" in Path("kobako.ini").read_text()


def test_init_does_not_touch_a_file_that_is_there(run: Run) -> None:
    Path("kobako.ini").write_text("mine")

    result = run("init", "--ini", "kobako.ini")

    assert (result.exit_code, result.stderr) == (1, "kobako.ini already exists.\n")
    assert Path("kobako.ini").read_text() == "mine"


@pytest.mark.parametrize("variable", ["KOBAKO_INI", "KINTO_INI"])
def test_init_writes_where_the_environment_says(run: Run, variable: str) -> None:
    run("init", **{variable: "elsewhere.ini"})

    assert Path("elsewhere.ini").exists()


def test_what_init_writes_without_a_name_is_what_start_finds(run: Run) -> None:
    run("init")

    assert stock.find_ini({}) == Path("config/kobako.ini")


def test_quiet_commands_log_nothing(run: Run) -> None:
    assert run("init", "-q").output == ""


# Start: what it refuses


def test_the_configuration_named_first_counts(run: Run) -> None:
    Path("config").mkdir()
    Path("config/kinto.ini").touch()

    assert stock.find_ini({"KOBAKO_INI": "a.ini", "KINTO_INI": "b.ini"}) == Path("a.ini")
    assert stock.find_ini({"KOBAKO_INI": "", "KINTO_INI": "b.ini"}) == Path("b.ini")
    assert stock.find_ini({}) == Path("config/kinto.ini")


def test_start_refuses_a_configuration_that_is_missing(refused: Callable[..., str]) -> None:
    assert refused("start", "--ini", "nothing.ini") == "nothing.ini does not exist."


@pytest.mark.parametrize("part", ["storage", "cache"])
def test_start_refuses_memory_for_several_workers(refused: Callable[..., str], part: str) -> None:
    ini = write(f"{part}_backend = memory\nuserid_hmac_secret = abc")

    assert f"'{part}_backend' is 'memory'" in refused("start", "--ini", ini, "--workers", "2")


def test_start_refuses_basicauth_without_a_secret(refused: Callable[..., str]) -> None:
    ini = write("multiauth.policies = basicauth")

    assert "'userid_hmac_secret' is empty" in refused("start", "--ini", ini)


def test_start_refuses_a_backend_that_is_not_offered(refused: Callable[..., str]) -> None:
    ini = write("kinto.storage_backend = kinto.core.storage.couchdb")

    line = refused("start", "--ini", ini)

    assert line.startswith("Setting 'kinto.storage_backend' is 'kinto.core.storage.couchdb': ")


def test_start_refuses_a_port_in_use(refused: Callable[..., str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]

        line = refused("start", "--port", str(port))

    assert line == f"Port {port} of 127.0.0.1 is in use: another server runs there."
    assert not Path("kobako.db").exists()


def test_start_refuses_a_database_of_another_version(refused: Callable[..., str]) -> None:
    import apsw

    connection = apsw.Connection("kobako.db")
    connection.execute("CREATE TABLE something (id)")
    connection.close()
    ini = write("userid_hmac_secret = abc")

    assert refused("start", "--ini", ini, "--port", "0").endswith("run kobako migrate")


def test_start_refuses_a_database_without_its_secret(refused: Callable[..., str]) -> None:
    import apsw

    connection = apsw.Connection("kobako.db")
    connection.execute("CREATE TABLE something (id)")
    connection.close()

    assert "kobako.secret is missing" in refused("start", "--port", "0")
    assert not Path("kobako.secret").exists()


def test_start_refuses_a_file_that_is_no_database(refused: Callable[..., str]) -> None:
    Path("kobako.db").write_bytes(b"something")

    assert refused("start", "--port", "0").endswith("kobako.db: SQLite: file is not a database")
    assert Path("kobako.db").read_bytes() == b"something"


def test_start_refuses_a_secret_that_is_empty(refused: Callable[..., str]) -> None:
    Path("kobako.secret").touch()

    assert "kobako.secret is empty" in refused("start", "--port", "0")


# The secret


def test_the_secret_is_made_once_for_its_owner(run: Run, tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        secrets = {each.userid_hmac_secret for each in threads.map(lambda _: stock.load(None, {}), range(32))}

    assert len(secrets) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["kobako.secret"]
    assert stat.S_IMODE((tmp_path / "kobako.secret").stat().st_mode) == 0o600


def test_the_secret_lies_beside_the_database(run: Run, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()

    stock.load(None, {"KOBAKO_STORAGE_URL": "sqlite:///data/kobako.db"})

    assert (tmp_path / "data" / "kobako.secret").exists()


def test_a_secret_of_the_environment_needs_no_file(run: Run, tmp_path: Path) -> None:
    settings = stock.load(None, {"KOBAKO_USERID_HMAC_SECRET": "0123"})

    assert settings.userid_hmac_secret == "0123"
    assert list(tmp_path.iterdir()) == []


def test_a_secret_in_a_folder_that_is_missing_is_an_error(run: Run) -> None:
    with pytest.raises(SettingsError, match="cannot be used"):
        stock.load(None, {"KOBAKO_STORAGE_URL": "sqlite:///missing/kobako.db"})


# Advice


def test_advice_names_each_right_of_everyone() -> None:
    settings = Settings(
        userid_hmac_secret="a" * 64,
        principals_by_permission={"bucket_create": frozenset({"system.Everyone"}), "record_read": frozenset({"me"})},
    )

    assert stock.advice(settings) == [
        "Setting 'bucket_create_principals' has system.Everyone: no user name is needed for that."
    ]


def test_a_safe_configuration_needs_no_advice() -> None:
    assert stock.advice(Settings(userid_hmac_secret="a" * 64)) == []


@pytest.mark.parametrize("secret", ["", "some-secret-string", "abc"])
def test_advice_names_a_secret_that_can_be_guessed(secret: str) -> None:
    [sentence] = stock.advice(Settings(userid_hmac_secret=secret))

    assert "'userid_hmac_secret'" in sentence


def test_advice_says_what_a_server_without_storage_is() -> None:
    settings = Settings(userid_hmac_secret="a" * 64, storage_backend="", permission_backend="")

    assert stock.advice(settings) == [
        "Setting 'storage_backend' is empty: there are no objects, nor endpoints for them."
    ]


def test_advice_names_a_cache_that_a_standby_can_not_hold() -> None:
    settings = Settings(userid_hmac_secret="a" * 64, readonly=True, cache_backend="postgresql")

    assert stock.advice(settings) == [
        "Setting 'cache_backend' is 'postgresql': a cache is written to, so a standby can not hold it."
    ]


@pytest.mark.parametrize("name", ["storage_backend", "cache_backend"])
def test_workers_share_what_they_keep(name: str) -> None:
    """C23."""
    for kind, is_refused in (("sqlite", False), ("memory", True), ("", name == "cache_backend")):
        settings = Settings(**{name: kind})
        stock.check_workers(settings, 1)
        if not is_refused:
            stock.check_workers(settings, 2)
            continue
        with pytest.raises(SettingsError, match=f"^Setting '{name}' is '{kind}': each of 2 workers would have data"):
            stock.check_workers(settings, 2)


# Migrate


def test_migrate_makes_the_database_and_then_has_nothing_to_do(run: Run) -> None:
    first, second = run("migrate"), run("migrate")

    assert (first.exit_code, second.exit_code) == (0, 0)
    assert Path("kobako.db").exists()
    assert second.stderr == "INFO   There is nothing to do.\n"


def test_a_dry_migration_does_nothing(run: Run) -> None:
    assert run("migrate", "--dry-run").exit_code == 0

    assert not Path("kobako.db").exists()


def test_migrate_skips_what_is_readonly(run: Run) -> None:
    result = run("migrate", KINTO_READONLY="true")

    assert result.stderr == (
        "ERROR  Cannot migrate the storage backend while in readonly mode.\n"
        "ERROR  Cannot migrate the permission backend while in readonly mode.\n"
    )
    assert not Path("kobako.db").exists()


def test_memory_has_nothing_to_migrate(run: Run) -> None:
    ini = write("storage_backend = memory")

    assert run("migrate", "--ini", ini).stderr == "INFO   There is nothing to do.\n"
