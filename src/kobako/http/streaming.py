"""Streams: requests whose bodies are read, or answers that are sent, piece by piece; and who serves them.

A client may take hours for that, or go away, so nothing is held meanwhile: the function of a view is called outside of
any transaction, and begins those it needs itself, each for a moment.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from typing import TypeVar

from kobako.databases.base import attempts
from kobako.http import implied
from kobako.http.authentication import identify
from kobako.http.handling import call
from kobako.http.implied import Absent
from kobako.http.log import Summary
from kobako.http.routing import Step
from kobako.http.site import Call, Site
from kobako.model.resource import Target
from kobako.protocol.errors import BadRequest
from kobako.protocol.messages import Request, Response
from kobako.storage.base import Place

Result = TypeVar("Result")


class Streamed:
    """A request on its way to a view that streams: the request and its target, and how to begin transactions."""

    def __init__(self, site: Site, step: Step, summary: Summary | None) -> None:
        self.request: Request = step.request
        self.target: Target = step.target
        self.site = site
        self._step, self._summary = step, summary

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it comes; at once where it is here already. Raises BadRequest if it breaks off."""
        if self.request.stream is None:
            yield self.request.body
            return
        async for chunk in self.request.stream:
            yield chunk

    async def read(self, run: Callable[[Call], Awaitable[Result]]) -> Result:
        """Return what a function finds, in a transaction that only reads."""
        return await self.write(run)

    async def write(self, run: Callable[[Call], Awaitable[Result]], *targets: Target) -> Result:
        """Return what a function does in a transaction that writes lists of these targets, once it is committed.

        It is called again where others were in the way. Listeners hear of what it does.
        """
        try:
            return await self._write(run, {each.place for each in targets})
        except Absent as absent:
            await implied.create(self.site, absent)
            return await self.write(run, *targets)

    async def _write(self, run: Callable[[Call], Awaitable[Result]], lists: Collection[Place]) -> Result:
        for attempt in attempts():
            async with attempt, self.site.backends.begin(lists) as tx:
                await implied.require(self._step, tx)
                caller = await identify(self.site, self._step.sender, tx)
                result = await run(call(self.site, self._step, caller, tx, self._summary))
                await self.site.listeners.before_commit(tx)
        await self.site.listeners.after_commit(tx)
        return result


async def refuse_part(part: Call) -> Response:
    """Raise BadRequest: what has no transaction is no part of a batch, which is one."""
    request = part.request
    raise BadRequest(f"{request.method} {request.path} has to be sent by itself, not in a batch.")
