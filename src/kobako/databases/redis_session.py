"""What one unit of work has read from Redis, and what it is going to write.

What was read is kept as facts: a command, and what it answered. A unit that only reads sends its facts along with every
further reading, and is answered only if they still hold: all that it reads was true at one moment, that of its last
reading. A unit that has its turn on lists sends them once, at its end, whether it commits or gives up: nothing is
written, and nothing refused, on the ground of what is true no more.

What a unit writes is kept by its storage and permissions, in dicts that the journal can take back to a savepoint.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar

from kobako.databases.base import TryAgain
from kobako.databases.journal import Journal
from kobako.databases.redis_keys import Command, Keys
from kobako.databases.redis_leases import Lease
from kobako.databases.redis_server import Server

CHUNK = 1000
"""Objects in one command, or one answer: others have their turn in between."""

NOTHING_MORE: Final[Mapping[Command, Any]] = {}

T = TypeVar("T")


class Session:
    """The facts and the journal of one unit of work, and its turn if it has one."""

    __slots__ = ("_server", "facts", "journal", "keys", "lease")

    def __init__(self, server: Server, keys: Keys) -> None:
        self._server = server
        self.keys = keys
        self.facts: dict[Command, Any] = {}
        self.lease: Lease | None = None
        self.journal = Journal()

    async def ask(self, *commands: Command, given: Sequence[Command] = ()) -> list[Any]:
        """Return what commands answer, on the ground of the facts `given`, which are looked up if need be.

        Raises TryAgain if a fact has changed, BackendUnavailable.
        """
        unknown = [each for each in dict.fromkeys(given) if each not in self.facts]
        if not unknown and not commands:
            return []
        answers = await self._run({} if self.lease else self.facts, [*unknown, *commands])
        self.facts.update(zip(unknown, answers, strict=False))
        return answers[len(unknown) :]

    async def fact(self, command: Command) -> Any:
        """Return what a command answers, a string, None, or a list of strings: the same all along."""
        await self.ask(given=[command])
        return self.facts[command]

    async def end(self, commands: Sequence[Command] = (), given: Mapping[Command, Any] = NOTHING_MORE) -> None:
        """Apply all commands, or none, if the facts hold and those `given`, and give up the turn.

        Raises TryAgain, BackendUnavailable.
        """
        if commands or self.lease:
            await self._run({**self.facts, **given}, commands, self.lease)

    async def _run(
        self, facts: Mapping[Command, Any], commands: Sequence[Command], lease: Lease | None = None
    ) -> list[Any]:
        known = [(command, _digest(answer)) for command, answer in facts.items()]
        leases, owner = (lease.keys, lease.owner) if lease else ([], "")
        answers = await self._server.run(known, commands, leases, owner)
        if answers is None:
            raise TryAgain("what was read has changed meanwhile")
        return answers


def chunks(things: Sequence[T], size: int = CHUNK) -> Iterator[Sequence[T]]:
    """Return the parts of a sequence, of this size at most."""
    return (things[start : start + size] for start in range(0, len(things), size))


def _digest(answer: Any) -> str | bool:
    """Return an answer as a fact is compared: a list by its digest, and nothing as Lua has it."""
    if isinstance(answer, list):
        return hashlib.sha1("\n".join(answer).encode(), usedforsecurity=False).hexdigest()
    return False if answer is None else str(answer)
