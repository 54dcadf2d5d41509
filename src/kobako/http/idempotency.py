"""Idempotency-Key: a request that is sent again is not done again; its first answer is given once more.

The answer is kept in the storage, in the transaction of what the request writes: both are committed, or neither. It
is an object of lists that no resource has, so no URL, list or count shows it. Requests with one key write one of
these lists, hence they wait for each other, whichever process they are in.

Lists are by day, of which three are in use in turn, and in each by the first digits of the id, so that few requests
wait in vain. A key is looked for in the lists of today and yesterday; that of three days ago is emptied when its
turn comes again. The id hides who sent which key, and is of a user: no user meets another's.
"""

import hashlib
import re
from collections.abc import Sequence
from typing import Final

import msgspec

from kobako.http.inputs import media_type
from kobako.http.routing import Step
from kobako.http.site import Site
from kobako.model.transaction import Transaction
from kobako.protocol import jsontext
from kobako.protocol.errors import InvalidParameters, KeyReused, MissingToken, Problem, invalid
from kobako.protocol.messages import Request, Response
from kobako.storage.base import Place

HEADER: Final = "idempotency-key"
DAY_MS: Final = 24 * 3600 * 1000
"""How long an answer is given again."""

SLOTS: Final = 3
"""Days in use: today's, yesterday's, and one to be emptied."""

SHARD = slice(2)
"""The digits of an id that name its list: 256 lists a day."""

_KEY: Final = re.compile(r"[!-~]{1,255}")


class Once(msgspec.Struct, frozen=True):
    """A request with a key: whose it is, under which id its answer is kept, where, and what the request was."""

    user: str
    id: str
    fingerprint: str
    now: int

    @property
    def today(self) -> Place:
        """The list where the answer is written."""
        return self._place(self.now // DAY_MS)

    @property
    def yesterday(self) -> Place:
        """The other list where the answer may be."""
        return self._place(self.now // DAY_MS - 1)

    def _place(self, day: int) -> Place:
        return Place("idempotency-key", f"idempotency/{day % SLOTS}/{self.id[SHARD]}")


class _Kept(msgspec.Struct, frozen=True):
    """An answer as it is stored, and when it was given."""

    at: int
    fingerprint: str
    status: int
    errno: int
    headers: dict[str, str]
    body: str


_decoder = msgspec.json.Decoder(_Kept)


def once(site: Site, step: Step) -> Once:
    """Return what a request with a key is known by.

    Raises InvalidParameters for what is no key, MissingToken for anybody: a key is a user's.
    """
    request, identity = step.request, step.sender.identity
    key = request.headers[HEADER]
    if not _KEY.fullmatch(key):
        raise invalid("header", "Idempotency-Key", "Idempotency-Key has to be 1 to 255 visible ASCII characters")
    if identity is None:
        raise MissingToken("An Idempotency-Key needs an authenticated user.")
    id = hashlib.sha256(f"{identity.user}\n{key}".encode()).hexdigest()
    return Once(identity.user, id, _fingerprint(request), site.backends.clock())


async def recall(tx: Transaction, once: Once) -> Response | None:
    """Return the answer that was given to this request before, None if it is the first.

    Raises KeyReused if the key came with another request.
    """
    for place in (once.today, once.yesterday):
        found = await tx.storage.get(place, once.id)
        kept = _decoder.decode(found.text) if found else None
        if kept and kept.at > once.now - DAY_MS:
            if kept.fingerprint != once.fingerprint:
                wrong = "Idempotency-Key was used for another request (method, path, query, type or body differ)"
                raise KeyReused([Problem("header", "Idempotency-Key", wrong)])
            return Response(status=kept.status, headers=kept.headers, body=kept.body.encode(), errno=kept.errno)
    return None


async def remember(tx: Transaction, once: Once, response: Response) -> None:
    """Keep the answer to a request, with what the request wrote."""
    place = once.today
    emptied = await tx.storage.timestamp(place)
    if emptied is not None and emptied < once.now // DAY_MS * DAY_MS:
        await tx.storage.close_under(place.parent, tombstones=False)
    kept = _Kept(
        at=once.now,
        fingerprint=once.fingerprint,
        status=response.status,
        errno=response.errno,
        headers=response.headers,
        body=response.body.decode(),
    )
    await tx.storage.put(place, once.id, jsontext.encode(kept))


def require_none_of_their_own(request: Request, parts: Sequence[Request]) -> None:
    """Raise InvalidParameters for a part of a batch with a key: the batch is done once, as a whole."""
    key = request.headers.get(HEADER)
    problems = [
        Problem("body", f"requests.{position}.headers", "Idempotency-Key has to be a header of the whole batch")
        for position, each in enumerate(parts)
        if each.headers.get(HEADER) != key
    ]
    if problems:
        raise InvalidParameters(problems)


def require_no_key(request: Request) -> None:
    """Raise InvalidParameters for a key of a request whose body is a stream: whether it is the same is not known."""
    if HEADER in request.headers:
        raise invalid("header", "Idempotency-Key", "Idempotency-Key is not taken with a body that is streamed")


def _fingerprint(request: Request) -> str:
    # The same body is another patch in another dialect.
    head = jsontext.encode([request.method, request.path, request.query, media_type(request)])
    return hashlib.sha256(head.encode() + request.body).hexdigest()
