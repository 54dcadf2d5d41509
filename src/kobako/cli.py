"""The command line: `kobako init`, `new`, `start`, `migrate`, `move`, `webhooks`, `version`. One function a command.

What a command needs is imported when it runs. An error is one line on standard error and exit status 1; a wrong use
of the command line, 2.

Source: objects, section 26.
"""

import asyncio
import errno
import importlib
import logging
import os
import socket
import sys
from collections.abc import Callable
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterator

    from rich.progress import TaskID

    from kobako.listeners.webhook.queue import Queue
    from kobako.moving import Moved, Tell
    from kobako.settings import Settings

_log = logging.getLogger("kobako")

BACKENDS = click.Choice(["memory", "sqlite", "postgresql", "redis"])
CACHES = click.Choice([*BACKENDS.choices, "memcached"])
DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8888
PORT_HELP = "Port to listen on; with a configuration, what %(http_port)s stands for."

Command = Callable[..., Any]

OF_UPKEEP = ("purge-deleted", "delete-collection", "flush-cache")
"""The commands of the module `upkeep`."""

OF_PLUGINS: dict[str, str] = {
    "rebuild-quotas": "quotas",
    "sweep-attachments": "attachments",
    **dict.fromkeys(("create-user", "list-users", "reset-password", "delete-user"), "accounts"),
}
"""The commands of the package's plugins, and which plugin has each: in its module `commands`, by the same name."""


class Failure(click.ClickException):
    """A command cannot do what it is asked to: one line says why."""

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the line, and nothing else."""
        click.echo(self.message, file=file, err=True)


class Commands(click.Group):
    """Commands, those of plugins too, which are imported when they run."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return [*super().list_commands(ctx), *OF_UPKEEP, *OF_PLUGINS]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Return a command, None if there is none."""
        if name in OF_UPKEEP:
            module = importlib.import_module("kobako.upkeep")
        elif name in OF_PLUGINS:
            module = importlib.import_module(f"kobako.plugins.{OF_PLUGINS[name]}.commands")
        else:
            return super().get_command(ctx, name)
        command: click.Command = getattr(module, name.replace("-", "_"))
        return command


def common(command: Command) -> Command:
    """Give a command the options that all have."""
    for option in (
        click.option("-v", "--debug", "level", flag_value=logging.DEBUG, help="Also log debug messages."),
        click.option("-q", "--quiet", "level", flag_value=logging.CRITICAL, help="Log critical messages only."),
        click.option("--ini", type=click.Path(path_type=Path), help="Configuration file [KOBAKO_INI, KINTO_INI]."),
    ):
        command = option(command)
    return command


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Kobako stores JSON, synchronises it and shares it."""


@cli.command()
@common
@click.option("--backend", type=BACKENDS, default="sqlite", show_default=True, help="Where objects are kept.")
@click.option("--cache-backend", type=CACHES, help="Where the cache is kept; as the objects if not given.")
@click.option("--host", default=DEFAULT_HOST, show_default=True, help="Address to listen on.")
def init(ini: Path | None, level: int | None, backend: str, cache_backend: str | None, host: str) -> None:
    """Write a configuration with secrets of its own."""
    from kobako import stock
    from kobako.settings.template import render

    configure_logging(level)
    path = ini or stock.named_ini(os.environ) or stock.INI_PLACES[0]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # It holds secrets: for its owner only.
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(render(backend, cache_backend or backend, host))
    except FileExistsError:
        raise Failure(f"{path} already exists.") from None
    except OSError as error:
        raise Failure(f"{path} cannot be written: {error.strerror}.") from None
    _log.info("Created config %s", path.absolute())


@cli.command()
@click.argument("name")
def new(name: str) -> None:
    """Write a project of one's own into a new folder: a kind of object, a configuration, tests."""
    from kobako import scaffold

    try:
        root = scaffold.create(Path(), name)
    except scaffold.BadName as error:
        raise Failure(str(error)) from None
    except OSError as error:
        raise Failure(f"{name} cannot be written: {error.strerror}.") from None
    click.echo(f"Created {root.absolute()}: its README.md says how to run it.")


@cli.command()
@common
@click.option("--host", help=f"Address to listen on. [default: that of the configuration, or {DEFAULT_HOST}]")
@click.option("--port", type=click.IntRange(0, 65535), default=DEFAULT_PORT, show_default=True, help=PORT_HELP)
@click.option("--workers", type=click.IntRange(1), default=1, show_default=True, help="Number of processes.")
def start(ini: Path | None, level: int | None, host: str | None, port: int, workers: int) -> None:
    """Serve. Without a configuration, from a file kobako.db in the current folder."""
    from kobako import monitoring, server, stock
    from kobako.settings import read_address

    level = configure_logging(level)
    ini = ini or stock.find_ini(os.environ)
    with told():
        configured_host, configured_port = read_address(ini, port)
        settings = stock.load(ini, os.environ, port)
        server.configure_logging(level, settings)
        stock.check_workers(settings, workers)
        for sentence in (*settings.warnings, *stock.advice(settings)):
            _log.warning("%s", sentence)
        if port not in (configured_port, DEFAULT_PORT):
            _log.warning("Listening on port %d, as %s says: it does not use %%(http_port)s.", configured_port, ini)
        listener = _listen(host or configured_host, configured_port)
        monitoring.check(settings)
        asyncio.run(_prepare(settings))
        monitoring.announce(settings)
    _log.info("Running %s %s.", settings.project_name, settings.project_version)
    if level <= logging.INFO:
        _greet(settings, ini, listener)
    from kobako.serving import serve

    sys.exit(serve(settings, listener, workers, level))


@cli.command()
@common
@click.option("--dry-run", is_flag=True, help="Only tell what would be done.")
def migrate(ini: Path | None, level: int | None, dry_run: bool) -> None:
    """Create the database's schema, or bring it up to date."""
    from kobako import stock
    from kobako.server import stock_app
    from kobako.settings import shown

    configure_logging(level)
    with told():
        settings = stock.load(ini or stock.find_ini(os.environ), os.environ)
        if settings.readonly:
            for part in ("storage", "permission"):
                _log.error("Cannot migrate the %s backend while in readonly mode.", part)
        elif dry_run:
            _log.info("Would bring the schema of %s up to date.", shown(settings.storage_url) or "memory")
        else:
            done = asyncio.run(stock_app(stock.without_metrics(settings)).migrate())
            for step in done or ["There is nothing to do."]:
                _log.info("%s", step)


@cli.command()
@common
@click.option("--from", "source", required=True, metavar="URL", help="Database to copy from.")
@click.option("--to", "target", required=True, metavar="URL", help="Database to copy to: a new, or an empty one.")
def move(ini: Path | None, level: int | None, source: str, target: str) -> None:
    """Copy everything to another database, and compare. Stop the server before, or set `readonly`."""
    from kobako import moving

    configure_logging(level)
    with told(), progress(level) as tell:
        try:
            moved = asyncio.run(_move(source, target, tell))
        except moving.CannotMove as error:
            raise Failure(str(error)) from error
    _log.info(
        "Copied, and compared: %d lists with %d objects and tombstones, %d ACLs, %d groups.",
        moved.lists, moved.objects, moved.acls, moved.groups,
    )  # fmt: skip
    _log.info("Now name the new database in storage_url and permission_url; each client goes on syncing where it was.")


@cli.group()
def webhooks() -> None:
    """Look after what webhooks are to send, also while the server runs."""


@webhooks.command("list")
@common
@click.option("--dead", is_flag=True, help="Those that were given up.")
def list_webhooks(ini: Path | None, level: int | None, dead: bool) -> None:
    """List the events that wait to be received: id, attempts, what happened, the last problem."""
    from kobako.listeners.webhook import letters

    for line in _with_queues(ini, level, lambda queues: letters.lines(queues, dead=dead)):
        click.echo(line)


@webhooks.command()
@common
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--all", "everything", is_flag=True, help="All that were given up.")
def replay(ini: Path | None, level: int | None, ids: tuple[str, ...], everything: bool) -> None:
    """Queue events again that were given up."""
    from kobako.listeners.webhook import letters

    if bool(ids) == everything:
        raise click.UsageError("Give either ids or --all.")
    done = _with_queues(ini, level, lambda queues: letters.replay(queues, None if everything else ids))
    _log.info("Queued again: %d.", len(done))
    _require_all(ids, done)


@webhooks.command()
@common
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
def drop(ini: Path | None, level: int | None, ids: tuple[str, ...]) -> None:
    """Forget events, waiting or given up: they are not sent any more."""
    from kobako.listeners.webhook import letters

    done = _with_queues(ini, level, lambda queues: letters.drop(queues, ids))
    _log.info("Dropped: %d.", len(done))
    _require_all(ids, done)


@cli.command()
@common
def version(ini: Path | None, level: int | None) -> None:
    """Print the version."""
    from importlib.metadata import version as installed

    click.echo(installed("kobako"))


def main() -> None:
    """Run the command of `sys.argv`."""
    cli(prog_name="kobako")


def configure_logging(level: int | None) -> int:
    """Log as the options say; return the level."""
    from kobako import logs

    level = level or logging.INFO
    logs.configure(level)
    return level


@contextmanager
def told() -> "Iterator[None]":
    """Turn the errors that somebody can mend into one line."""
    from kobako.databases.base import BackendUnavailable, UnfitDatabase
    from kobako.settings import SettingsError

    try:
        yield
    except (SettingsError, UnfitDatabase, BackendUnavailable) as error:
        raise Failure(str(error)) from error


def _with_queues(ini: Path | None, level: int | None, do: "Callable[[list[Queue]], Awaitable[list[str]]]") -> list[str]:
    """Return what is done with the queues of the webhooks of the settings."""
    from kobako import stock
    from kobako.app import milliseconds
    from kobako.backends import open_database
    from kobako.listeners.webhook import letters

    async def with_database() -> list[str]:
        await database.open()
        try:
            return await do(letters.queues(settings, database))
        finally:
            await database.close()

    configure_logging(level)
    with told():
        settings = stock.load(ini or stock.find_ini(os.environ), os.environ)
        stock.check_others_see(settings)
        database = open_database(settings, milliseconds)
        return asyncio.run(with_database())


def _require_all(ids: tuple[str, ...], done: list[str]) -> None:
    if unknown := [each for each in ids if each not in done]:
        raise Failure(f"There is no such event: {', '.join(unknown)}.")


def _listen(host: str, port: int) -> socket.socket:
    from kobako.serving import listen

    try:
        return listen(host, port)
    except OSError as error:
        in_use = error.errno == errno.EADDRINUSE
        reason = "is in use: another server runs there" if in_use else f"cannot be used: {error.strerror}"
        raise Failure(f"Port {port} of {host} {reason}.") from error


async def _move(source: str, target: str, tell: "Tell") -> "Moved":
    from kobako import backends, moving
    from kobako.app import milliseconds

    origin = backends.of_url("--from", source, milliseconds)
    copy = backends.of_url("--to", target, milliseconds)
    await origin.open()
    try:
        await copy.migrate()
        await copy.open()
        try:
            return await moving.move(origin, copy, tell)
        finally:
            await copy.close()
    finally:
        await origin.close()


@contextmanager
def progress(level: int | None) -> "Iterator[Tell]":
    """Return what tells of progress: a line in a terminal that is renewed, nothing elsewhere."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TextColumn("{task.completed} objects"))
    console = Console(stderr=True)
    hidden = not console.is_terminal or level == logging.CRITICAL
    with Progress(*columns, TimeElapsedColumn(), console=console, disable=hidden, transient=True) as progress:
        tasks: dict[str, TaskID] = {}

        def tell(doing: str, objects: int) -> None:
            if doing not in tasks:
                tasks[doing] = progress.add_task(doing, total=None)
            progress.advance(tasks[doing], objects)

        yield tell


async def _prepare(settings: "Settings") -> None:
    """Make a database that is not there yet, and open and close it: what is wrong is told before serving."""
    from kobako import stock
    from kobako.databases.base import BackendUnavailable
    from kobako.server import stock_app

    # It serves nothing, so it measures nothing.
    app = stock_app(stock.without_metrics(settings))
    if stock.is_new(settings) and not settings.readonly:
        await app.migrate()
    not_run: list[str] = []
    async with app:
        # A database that is down has been told of, and may come up later.
        with suppress(BackendUnavailable):
            not_run = [] if stock.is_in_memory(settings) else await app.pending()
    for sentence in (*app.warnings, *(f"Not run yet, by `kobako migrate`: {each}." for each in not_run)):
        _log.warning("%s", sentence)


def _greet(settings: "Settings", ini: Path | None, listener: socket.socket) -> None:
    """Say what is served from where, and what to try first."""
    from kobako import stock
    from kobako.backends import sqlite_path
    from kobako.settings import shown

    host, port = listener.getsockname()[:2]
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}/v1/"
    lines = [f"Serving {url}"]
    if ini:
        lines.append(f"Configuration: {ini.absolute()}")
    if settings.storage_backend == "sqlite":
        lines.append(f"Database: {sqlite_path('storage_url', settings.storage_url).absolute()}")
    elif settings.storage_url:
        # Options of a URL may hold a password, too.
        lines.append(f"Database: {shown(settings.storage_url).partition('?')[0]}")
    if not ini and (secret := stock.secret_file(settings)) and secret.exists():
        lines.append(f"Secret of the user ids: {secret} (keep it with the database)")
    if "accounts" in settings.includes:
        lines.append("Accounts: `kobako create-user` makes one")
    if any(each.kind == "basicauth" for each in settings.policies):
        lines.append(f"Try: curl -u alice:secret -X PUT {url}buckets/first")
    # What reads log entries from standard output gets nothing else there.
    log_is_there = any(each.stream == "stdout" for rule in settings.log_rules for each in rule.handlers)
    click.echo("\n".join(lines), err=log_is_there)
