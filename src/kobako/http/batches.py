"""Batches: several requests in one transaction. What is left of it when a part fails is decided here.

Source: HTTP API, sections 12.3 and 12.4.
"""

from collections.abc import Hashable, Sequence

import msgspec

from kobako.http import idempotency, implied, inputs, log, routing
from kobako.http.authentication import identify
from kobako.http.handling import handle
from kobako.http.log import Summary
from kobako.http.owners import placed
from kobako.http.responses import error_response, json_response
from kobako.http.routing import Redirect, Step
from kobako.http.site import Site
from kobako.model.transaction import Transaction
from kobako.protocol import batch
from kobako.protocol.errors import ApiError, Conflict, UnknownUrl
from kobako.protocol.messages import Request, Response
from kobako.storage.base import DuplicateTimestamp


class PartFailed(Exception):
    """A part of a batch was answered in a way that undoes all parts: its answer is that of the whole batch."""

    def __init__(self, response: Response):
        super().__init__(f"a part was answered with {response.status}")
        self.response = response


Planned = tuple[Request, Step | Response | ApiError]
"""A part of a batch: its route is known, or its answer, where that needs no transaction."""


class Plan(msgspec.Struct, frozen=True):
    """A batch whose parts have their routes; `is_atomic` if no part is to be kept without all others."""

    parts: Sequence[Planned]
    is_atomic: bool


async def plan(site: Site, step: Step, version: Hashable) -> Plan:
    """Return the parts of a batch, each with its route, or its answer: before any lock is taken."""
    inputs.negotiate_body(step.request, (inputs.JSON,))
    settings = site.settings
    given = batch.read(step.request, site.routes.prefix, settings.batch_max_requests, settings.max_body_size_bytes)
    idempotency.require_none_of_their_own(step.request, given.requests)
    if version is None:
        # Of no use later, but all parts that say the same of their sender have the same one.
        version = object()
    return Plan([await _planned(site, each, version) for each in given.requests], given.is_atomic)


async def _planned(site: Site, request: Request, version: Hashable) -> Planned:
    try:
        step = routing.find(site, request)
        if isinstance(step, Redirect):
            # Followed once, with the same method, headers and body.
            request = msgspec.structs.replace(request, path=step.path)
            step = routing.find(site, request)
            if isinstance(step, Redirect):
                raise UnknownUrl()
        routing.require_method(step)
        if step.route.offline:
            return request, await step.route.offline(site, request)
        return request, await placed(site, step, version)
    except ApiError as error:
        return request, error


async def handle_all(site: Site, plan: Plan, tx: Transaction, summary: Summary | None) -> Response:
    """Serve the parts of a batch, one after the other: each sees what those before it did.

    A part that fails leaves nothing behind, and the others go on; where it failed by the server, or by a conflict,
    nothing of the whole batch is kept, and no part claims to be (section 12.4). Nor is it where a batch asks to be
    atomic and a part fails in any way.
    """
    answers = []
    if summary:
        summary.parts = len(plan.parts)
    await _look_ahead(site, [step for _, step in plan.parts if isinstance(step, Step)], tx)
    for position, (request, step) in enumerate(plan.parts):
        try:
            if isinstance(step, ApiError):
                raise step
            if isinstance(step, Step) and step.implies:
                await implied.create_within(step, tx)
            async with tx.part():
                response = await handle(site, step, tx, summary) if isinstance(step, Step) else step
            if response.status >= (400 if plan.is_atomic else 500):
                raise PartFailed(response)
        except (ApiError, DuplicateTimestamp) as error:
            if plan.is_atomic:
                told = Conflict() if isinstance(error, DuplicateTimestamp) else error
                raise PartFailed(error_response(site, request, batch.located(told, position))) from error
            if isinstance(error, DuplicateTimestamp) or error.status >= 500 or isinstance(error, Conflict):
                raise
            response = error_response(site, request, error)
        finally:
            if summary:
                log.part(summary, request)
            if request.method == "DELETE":
                # What is gone has to be looked for again.
                tx.implied.clear()
        answers.append((request, response))
    return json_response(batch.answer(answers))


async def _look_ahead(site: Site, steps: Sequence[Step], tx: Transaction) -> None:
    """Find, before the first part, what counts for all: groups, for whoever a part comes from (section 4.4), and what
    the parts imply, but for what former parts create. Raises Absent.
    """
    created: set[str] = set()
    for step in steps:
        await identify(site, step.sender, tx)
        await implied.require(step, tx, but=created)
        if step.request.method == "PUT":
            created.add(step.target.uri)
