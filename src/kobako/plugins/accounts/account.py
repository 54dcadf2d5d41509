"""The resource of accounts: what they are made of, and what happens to the password they come with.

Source: objects, 1.3, 14.2 and 14.5.
"""

import re
from functools import partial
from typing import Final

import msgspec
from msgspec.structs import replace

from kobako import Change, IdGenerator, JsonObject, Place, Resource, Stored, Target, Transaction, encode, invalid
from kobako.plugins.accounts import vault
from kobako.plugins.accounts.hashing import Hasher
from kobako.plugins.accounts.letters import Letters
from kobako.plugins.accounts.options import KIND
from kobako.plugins.accounts.rights import AccountRights
from kobako.plugins.accounts.vault import Secret

IDS: Final = IdGenerator(re.compile(r"[a-zA-Z0-9][+.@a-zA-Z0-9_-]*"))
"""Whoever creates an account says its name."""

KEPT: Final = "********"
"""What stands where the password would: there is one, and nobody is shown even its hash."""

ACCOUNT: Final = Resource(
    name="account",
    path="/accounts",
    ids=IDS,
    needs_data=True,
    data_schema={"properties": {"password": {"type": "string", "minLength": 1}}, "required": ["password"]},
)


ACCOUNTS: Final[Place] = ACCOUNT.target("/accounts").place
"""The list of all accounts: whoever writes secrets of several lists locks it first."""


class Passwords(msgspec.Struct, frozen=True):
    """What becomes of the password of an account that is written; `letters` where addresses are validated."""

    hasher: Hasher
    letters: Letters | None

    async def prepare(self, tx: Transaction, target: Target, data: JsonObject, old: Stored | None) -> JsonObject:
        """Put the hash of a new password into the vault; return the account without it."""
        id = str(target.id)
        if self.letters and old is None:
            self.letters.require_address(id, "body", "data.id")
        known = await vault.find_to_write(tx.storage, id)
        secret = await self._secret(tx, id, data["password"], known)
        pending = data.get("validated") is False
        if secret:
            secret = replace(secret, is_pending=pending, activation=secret.activation if pending else None)
            if self.letters and old is None and pending:
                secret = replace(secret, activation=await self.letters.activation(tx, {**data, "id": id}))
            if secret != known:
                await vault.keep(tx.storage, id, secret)
        return {**data, "password": KEPT}

    async def _secret(self, tx: Transaction, id: str, password: str, known: Secret | None) -> Secret | None:
        """Return the secret with the hash of a new password, which takes its time: no list is locked meanwhile."""
        if password == KEPT:
            return known
        hash = await tx.aside(("password", id, password), partial(self.hasher.hash, password))
        return replace(known, hash=hash, reset=None) if known else Secret(hash)


def resource(hasher: Hasher, letters: Letters | None) -> Resource:
    """Return the resource of accounts."""
    return replace(
        ACCOUNT,
        validate=validate,
        prepare=Passwords(hasher, letters).prepare,
        react=react,
        rights=partial(AccountRights, validates=letters is not None),
    )


def validate(data: JsonObject, path: str) -> JsonObject:
    """Return the data of an account, which has a password; in the result of a patch it may be the one it had."""
    password = data.get("password")
    if password is None or password == "":
        raise invalid("body", "data.password", "Required")
    if not isinstance(password, str):
        # Whatever it is, it may be somebody's secret: it is not shown.
        raise invalid("body", "data.password", "data.password is not a string")
    if path and password == KEPT:
        raise invalid("body", "data.password", f"data.password is '{KEPT}', which stands for a password that is kept")
    return data


async def react(tx: Transaction, target: Target, change: Change) -> None:
    """Forget the secret of an account that is deleted."""
    if change.action == "delete":
        await vault.forget(tx.storage, change.new.id)


async def install(tx: Transaction, id: str, hash: str) -> None:
    """Create an account or replace it, outside of requests: no rights are asked for, and nobody is told.

    The transaction is one that writes ACCOUNTS.
    """
    target = ACCOUNT.target("/accounts", id)
    await vault.keep(tx.storage, id, Secret(hash))
    await tx.storage.put(target.place, id, encode({"password": KEPT}))
    writers = (await tx.permission.acl(target.uri)).get("write", [])
    await tx.permission.replace(target.uri, {"write": list(dict.fromkeys([*writers, f"{KIND}:{id}"]))})
