"""What is secret of an account: kept in a list of its own, beside the account, that no resource has.

So no URL, filter, event, history or webhook has it, whatever else is switched on. It is written with the account, and
goes with it. The list has the account's URI as its parent.

Source: objects, 14.4 and 14.5; reliability, P4, P5 and P7.
"""

import hashlib
import hmac
from typing import Final

import msgspec

from kobako import Place, Storage, encode

_ID: Final = "secret"


class Token(msgspec.Struct, frozen=True):
    """Something that was sent by mail, as it is kept: its digest, and until when it serves, in milliseconds."""

    digest: str
    until: int

    def is_for(self, text: str, now: int) -> bool:
        """Tell whether this is what was sent, in time."""
        return hmac.compare_digest(self.digest, _digest(text)) and now < self.until


class Secret(msgspec.Struct, frozen=True):
    """The hash of the password, what was sent and not used yet, and whether the address still has to be validated."""

    hash: str
    activation: Token | None = None
    reset: Token | None = None
    is_pending: bool = False


_decoder = msgspec.json.Decoder(Secret)


def token(text: str, until: int) -> Token:
    """Return what is kept of a text that is sent."""
    return Token(_digest(text), until)


def place(account: str) -> Place:
    """Return the list of an account's secret."""
    return Place("account-secret", f"/accounts/{account}")


async def find(storage: Storage, account: str) -> Secret | None:
    """Return the secret of an account, None if there is none."""
    found = await storage.get(place(account), _ID)
    return _decoder.decode(found.text) if found else None


async def find_to_write(storage: Storage, account: str) -> Secret | None:
    """Return the secret of an account that is there, or is made now: nobody else writes it before the commit."""
    await storage.open(place(account))
    return await find(storage, account)


async def keep(storage: Storage, account: str, secret: Secret) -> None:
    """Keep the secret of an account, in place of the former one."""
    await storage.put(place(account), _ID, encode(secret))


async def forget(storage: Storage, account: str) -> None:
    """Forget the secret of an account that is deleted: whoever takes its name begins anew."""
    await storage.close_under(place(account).parent, tombstones=False)


def _digest(text: str) -> str:
    # What is sent is random, so there is nothing to guess.
    return hashlib.sha256(text.encode()).hexdigest()
