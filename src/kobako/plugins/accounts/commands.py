"""`kobako create-user`, `list-users`, `reset-password` and `delete-user`: accounts from the command line.

They work on the database that the settings name, whether or not a server runs on it.

Source: objects, 26.2; 13.3 for what goes with a user's data.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import click
from msgspec.structs import replace

from kobako import App, Selection, Settings, Sort, Target, Transaction, attempts, objects, stock
from kobako.cli import Failure, common, configure_logging, told
from kobako.plugins.accounts import account, options, ownership, vault
from kobako.plugins.accounts.hashing import Hasher
from kobako.server import stock_app

T = TypeVar("T")


class ReadonlyServer(Failure):
    """The server must not be written to."""

    exit_code = 51


class NotIncluded(Failure):
    """The server has no accounts."""

    exit_code = 52


class Aborted(Failure):
    """Whoever was asked has not answered."""

    exit_code = 53


@click.command("create-user")
@common
@click.option("-u", "--username", help="Name of the account; asked for if not given.")
@click.option("-p", "--password", help="Its password; asked for if not given, which keeps it out of sight.")
def create_user(ini: Path | None, level: int | None, username: str | None, password: str | None) -> None:
    """Create an account, or replace it."""
    settings = _settings(ini, level, "create a user")
    try:
        name = _name(username)
        password = _password(password)
    except click.Abort:
        raise Aborted("User creation aborted") from None
    click.echo(f"Creating user '{name}'")

    async def create(app: App) -> None:
        hash = await Hasher(options.read(settings)).hash(password)
        for attempt in attempts():
            async with attempt, app.site.backends.begin([account.ACCOUNTS]) as tx:
                await account.install(tx, name, hash)

    _run(settings, create)


@click.command("list-users")
@common
def list_users(ini: Path | None, level: int | None) -> None:
    """List the names of all accounts."""

    async def names(app: App) -> list[str]:
        for attempt in attempts():
            async with attempt, app.site.backends.begin() as tx:
                found = await tx.storage.list(account.ACCOUNTS, Selection(sort=(Sort("id"),)))
        return [each.id for each in found]

    for name in _run(_settings(ini, level, "list users", writes=False), names):
        click.echo(name)


@click.command("reset-password")
@common
@click.argument("username")
@click.option("-p", "--password", help="The new password; asked for if not given, which keeps it out of sight.")
def reset_password(ini: Path | None, level: int | None, username: str, password: str | None) -> None:
    """Give an account another password; all else of it stays."""
    settings = _settings(ini, level, "reset a password")
    try:
        new = _password(password)
    except click.Abort:
        raise Aborted("Password reset aborted") from None

    async def reset(app: App) -> None:
        hash = await Hasher(options.read(settings)).hash(new)
        for attempt in attempts():
            async with attempt, app.site.backends.begin([account.ACCOUNTS]) as tx:
                await _replace_hash(tx, username, hash)

    _run(settings, reset)
    click.echo(f"The password of '{username}' is changed.")


@click.command("delete-user")
@common
@click.argument("username")
@click.option("--with-data", is_flag=True, help="Also what nobody else may write, and the user's rights on the rest.")
def delete_user(ini: Path | None, level: int | None, username: str, with_data: bool) -> None:
    """Delete an account. What the user has stays, and is theirs who takes the name next, unless it goes too."""

    async def delete(app: App) -> int:
        for attempt in attempts():
            touched = await ownership.targets(app, username) if with_data else []
            async with attempt, app.transaction(account.ACCOUNT.target("/accounts"), *touched) as tx:
                await _delete(tx, username, with_data)
                deleted = await ownership.dispossess(tx, username) if with_data else 0
        return deleted

    deleted = _run(_settings(ini, level, "delete a user"), delete)
    click.echo(f"Deleted user '{username}'" + (f", and objects of theirs: {deleted}." if with_data else "."))


async def _replace_hash(tx: Transaction, name: str, hash: str) -> None:
    found = await tx.storage.get(account.ACCOUNTS, name)
    if found is None:
        raise Failure(f"There is no account '{name}'.")
    secret = await vault.find_to_write(tx.storage, name) or vault.Secret(hash)
    await vault.keep(tx.storage, name, replace(secret, hash=hash, reset=None))
    # Whoever watches the account learns that it has changed.
    await tx.storage.put(account.ACCOUNTS, name, found.text)


async def _delete(tx: Transaction, name: str, with_data: bool) -> None:
    target = _accounts(tx).at(name)
    found = await objects.find(tx, target)
    if found:
        await objects.delete(tx, target, [found], by=None)
    elif not with_data:
        raise Failure(f"There is no account '{name}'.")


def _accounts(tx: Transaction) -> Target:
    """Return the list of accounts."""
    return next(each for each in tx.resources if each.name == account.ACCOUNT.name).target("/accounts")


def _settings(ini: Path | None, level: int | None, doing: str, *, writes: bool = True) -> Settings:
    """Return the settings of a server with accounts. Raises Failure."""
    configure_logging(level)
    with told():
        settings = stock.load(ini or stock.find_ini(os.environ), os.environ)
        if settings.readonly and writes:
            raise ReadonlyServer(f"Cannot {doing} with a readonly server.")
        if "accounts" not in settings.includes:
            raise NotIncluded(f"Cannot {doing} when the accounts plugin is not installed.")
        stock.check_others_see(settings)
    return settings


def _run(settings: Settings, work: Callable[[App], Awaitable[T]]) -> T:
    """Return what is done with an app whose database is open; one that is not there yet is made."""

    async def with_database() -> T:
        app = stock_app(settings)
        if stock.is_new(settings) and not settings.readonly:
            await app.migrate()
        database = app.site.backends.database
        await database.open()
        try:
            return await work(app)
        finally:
            await database.close()
            await app.site.backends.cache.close()

    with told():
        return asyncio.run(with_database())


def _name(given: str | None) -> str:
    """Return the name of an account, asked for until it is one. Raises Abort at the end of the input."""
    while given is None or not account.IDS.accepts(given):
        if given is not None:
            click.echo(f"'{given}' is no user name: letters, digits and + . @ _ - make one, a letter or digit first.")
        given = click.prompt("Username")
    return given


def _password(given: str | None) -> str:
    """Return a password, asked for twice until it is the same. Raises Abort at the end of the input."""
    while not given or given == account.KEPT:
        given = click.prompt("Password", hide_input=True)
        if click.prompt("Repeat the password", hide_input=True) != given:
            click.echo("Sorry, passwords do not match, please try again.")
            given = None
    return given
