"""Switches that break the server of the test build on purpose, each as some server was once: the checker sees them all.

Those that replace what a storage does, do so for each backend (`breaks_of_storage.py`).

Source: reliability, 3.1.
"""

import asyncio
import random
import time
from collections.abc import Callable, Collection
from contextvars import ContextVar
from typing import Any, Final

import msgspec
from tests.consistency import breaks_of_storage

from kobako.http import batches, lists, pipeline
from kobako.http.responses import error_response, json_response
from kobako.http.routing import Step
from kobako.http.site import Call, Site
from kobako.model import access, objects
from kobako.model.transaction import Backends, Beginning, Transaction
from kobako.protocol import batch, etags, versions
from kobako.protocol.errors import ApiError
from kobako.protocol.messages import Response
from kobako.storage.base import Place

WINDOW_S: Final = 0.02
"""How long a break stays open at most."""


async def _window() -> None:
    await asyncio.sleep(random.uniform(0, WINDOW_S))


def versions_are_taken_before_the_lock() -> None:
    """Read the clock and the list's timestamp, then wait for the lock: Kinto's way (S1, S3)."""
    written: ContextVar[Collection[Place]] = ContextVar("written")
    begin, enter = Backends.begin, Beginning.__aenter__

    def noted(self: Any, lists: Collection[Place] = (), *others: Any) -> Any:
        written.set(lists)
        return begin(self, lists, *others)

    async def entered(self: Any) -> Transaction:
        found = {}
        if places := written.get():
            async with self._backends.database.begin() as unit:
                for place in places:
                    current = await unit.storage.timestamp(place)
                    found[place] = versions.following(current or 0, self._backends.clock())
            await _window()
        breaks_of_storage.TAKEN.set(found)
        return await enter(self)

    Backends.begin, Beginning.__aenter__ = noted, entered
    breaks_of_storage.use_taken_versions()


def etags_are_read_after_the_list() -> None:
    """Answer a timestamp that is newer than the objects (S11)."""
    get_list = lists.get_list

    async def late(call: Call) -> Response:
        response = await get_list(call)
        if response.status == 200:
            await _window()
            async with call.site.backends.begin() as tx:
                response.headers.update(etags.headers_for(await objects.timestamp(tx, call.target)))
        return response

    lists.OPERATIONS["GET"] = late


def pages_answer_the_etag_of_their_moment() -> None:
    """Forget the timestamp of page 1: the last page's is newer than what page 1 had (S7)."""
    read = lists._list_query

    async def forgetful(call: Call, given: Any) -> Any:
        wanted = await read(call, given)
        if wanted.token is None:
            return wanted
        return msgspec.structs.replace(wanted, token=msgspec.structs.replace(wanted.token, timestamp=2**62))

    lists._list_query = forgetful


def commits_follow_the_answer() -> None:
    """Answer first, commit a moment later (C25, S10)."""
    leave = Beginning.__aexit__
    running: set[Any] = set()

    async def later(self: Any, *nothing: Any) -> None:
        await _window()
        await leave(self, *nothing)

    async def left(self: Any, kind: Any, error: Any, trace: Any) -> None:
        if kind is not None or not self._tx.events.told:
            await leave(self, kind, error, trace)
        else:
            task = asyncio.ensure_future(later(self, None, None, None))
            running.add(task)
            task.add_done_callback(running.discard)

    Beginning.__aexit__ = left


def if_match_is_checked_outside_the_lock() -> None:
    """Look whether the version is the client's, and write then, whatever is stored by that time (C1)."""
    transact = pipeline._transact

    async def checked_before(site: Site, step: Step, *noted: Any) -> Response:
        headers = dict(step.request.headers)
        if step.writes and step.target.id is not None and "if-match" in headers:
            async with site.backends.begin() as tx:
                stored = await objects.find(tx, step.target)
            await _window()
            if stored and etags.parse(headers["if-match"]) == stored.last_modified:
                del headers["if-match"]
                request = msgspec.structs.replace(step.request, headers=headers)
                step = msgspec.structs.replace(step, request=request)
        return await transact(site, step, *noted)

    pipeline._transact = checked_before


def tombstones_are_dropped() -> None:
    """List no deletion (S9)."""
    page = objects.page

    async def without(tx: Transaction, target: Any, query: Any, *others: Any, **more: Any) -> objects.Page:
        live = msgspec.structs.replace(query.selection, tombstones=False)
        return await page(tx, target, msgspec.structs.replace(query, selection=live), *others, **more)

    objects.page = without


def batches_are_not_checked() -> None:
    """Let anybody do anything in a batch (P18)."""
    in_batch: ContextVar[bool] = ContextVar("in_batch", default=False)
    handle_all, have = pipeline.handle_all, access.Rights._have

    async def in_a_batch(*arguments: Any) -> Any:
        in_batch.set(True)
        return await handle_all(*arguments)

    pipeline.handle_all = in_a_batch
    access.Rights._have = lambda self, right: in_batch.get() or have(self, right)


def parts_of_batches_are_committed_alone() -> None:
    """Keep the parts before the one that failed, or before a crash (C11, C13)."""
    transact = pipeline._transact

    async def one_by_one(site: Site, step: Step, *noted: Any) -> Response:
        if step.route.kind != "batch":
            return await transact(site, step, *noted)
        plan, answers = await batches.plan(site, step, site.backends.version()), []
        for request, part in plan.parts:
            try:
                if isinstance(part, ApiError):
                    raise part
                answers.append((request, await transact(site, part, None, None)))
            except ApiError as error:
                if plan.is_atomic:
                    raise
                answers.append((request, error_response(site, request, error)))
            await _window()
        return json_response(batch.answer(answers))

    pipeline._transact = one_by_one


def patches_read_before_the_lock() -> None:
    """Patch what was stored before somebody else wrote (C4, C5)."""
    _read_before_the_lock("PATCH")


def puts_read_before_the_lock() -> None:
    """Create, with the right to create alone, what somebody else has created by then (C2, C3, C22)."""
    _read_before_the_lock("PUT")


def _read_before_the_lock(method: str) -> None:
    read: ContextVar[list[Any]] = ContextVar("read")
    transact, find = pipeline._transact, objects.find_to_write

    async def read_before(site: Site, step: Step, *noted: Any) -> Response:
        read.set([])
        if step.request.method == method and step.target.id is not None:
            async with site.backends.begin() as tx:
                read.set([await objects.find(tx, step.target)])
            await _window()
        return await transact(site, step, *noted)

    async def found(tx: Transaction, target: Any) -> Any:
        return read.get()[0] if read.get() else await find(tx, target)

    pipeline._transact, objects.find_to_write = read_before, found


def records_outlive_their_collection() -> None:
    """Forget to delete what is in a collection (C9)."""
    breaks_of_storage.close_and_delete_nothing()


def timestamps_are_forgotten_with_their_list() -> None:
    """Begin anew at the clock when a collection is made again, wherever the clock is by then (S19)."""
    breaks_of_storage.close_and_forget()


def answers_are_kept_for_a_while() -> None:
    """Give an answer again for a moment, whatever was committed: as a cache in front of a server would (S10)."""
    Backends.version = lambda self: time.monotonic() // KEPT_S  # type: ignore[method-assign]
    Backends.version_of = lambda self, target: self.version()  # type: ignore[method-assign]


KEPT_S: Final = 0.2

SWITCHES: Final[dict[str, Callable[[], None]]] = {
    each.__name__: each
    for each in (
        versions_are_taken_before_the_lock,
        etags_are_read_after_the_list,
        pages_answer_the_etag_of_their_moment,
        commits_follow_the_answer,
        if_match_is_checked_outside_the_lock,
        tombstones_are_dropped,
        batches_are_not_checked,
        parts_of_batches_are_committed_alone,
        patches_read_before_the_lock,
        puts_read_before_the_lock,
        records_outlive_their_collection,
        timestamps_are_forgotten_with_their_list,
        answers_are_kept_for_a_while,
    )
}
