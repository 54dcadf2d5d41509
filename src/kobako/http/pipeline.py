"""answer(): one HTTP request, one transaction; handle(): who calls, and the endpoint. A batch calls handle again.

Source: design, "The walk of a request"; HTTP API, sections 12.3 and 12.4.
"""

import logging
from collections.abc import Collection, Iterable, Sequence
from typing import Final

import msgspec

from kobako.http import cors, inputs, routing
from kobako.http.authentication import identify
from kobako.http.responses import error_response, json_response
from kobako.http.routing import Redirect, Step
from kobako.http.site import Call, Site
from kobako.model.transaction import Transaction
from kobako.protocol import batch
from kobako.protocol.errors import ApiError, Conflict, InvalidParameters, UnknownUrl
from kobako.protocol.messages import Request, Response
from kobako.storage.base import Place

MAX_ROUNDS: Final = 10
"""How often listeners may be told of what listeners wrote (section 14.4)."""

_log = logging.getLogger("kobako.listeners")


class PartFailed(Exception):
    """A part of a batch was answered with a status of 500 or more: its answer is that of the whole batch."""

    def __init__(self, response: Response):
        super().__init__(f"a part was answered with {response.status}")
        self.response = response


async def answer(site: Site, request: Request) -> Response:
    """Serve one HTTP request, as it came from the network."""
    known = None
    try:
        step = routing.find(site, request)
        if isinstance(step, Redirect):
            response = routing.redirection(site, request, step)
        else:
            known = step.route
            routing.require_method(step)
            asks = request.method == "OPTIONS"
            response = cors.preflight(site, known, request) if asks else await _transact(site, step)
    except PartFailed as failed:
        response = failed.response
    except Exception as error:
        response = error_response(site, request, error)
    return cors.dressed(site, request, known, response)


async def handle(site: Site, step: Step, tx: Transaction) -> Response:
    """Serve one request, whole or a part of a batch, in a transaction."""
    if step.route.offline:
        return await step.route.offline(site, step.request)
    caller = await identify(site, step.request, tx)
    return await step.route.methods[step.request.method](Call(step.request, step.target, caller, tx, site))


async def _transact(site: Site, step: Step) -> Response:
    """Serve a request in a transaction of its own; answer once it is committed, and only then tell of it."""
    if step.route.resource is None and (refused := cors.problem(site, step.request)):
        # Where there is a resource, this is told with what else is wrong, after access (section 2.5).
        raise InvalidParameters([refused])
    if step.route.offline:
        return await step.route.offline(site, step.request)
    parts = _parts(site, step) if step.route.kind == "batch" else None
    async with site.backends.begin(_lists_written([step] if parts is None else parts)) as tx:
        response = await (handle(site, step, tx) if parts is None else _handle_all(site, parts, tx))
        await _before_commit(site, tx)
    await _after_commit(site, tx)
    return response


async def _before_commit(site: Site, tx: Transaction) -> None:
    """Tell of the changes while they can still be refused; then of what listeners changed, and so on."""
    for _ in range(MAX_ROUNDS):
        events = tx.events.take()
        if not events:
            return
        for event in events:
            for listener in site.before_commit:
                await listener(tx, event)
    raise RuntimeError(f"listeners still write because of what listeners write, after {MAX_ROUNDS} rounds")


async def _after_commit(site: Site, tx: Transaction) -> None:
    for event in tx.events.told:
        for listener in site.after_commit:
            try:
                await listener(tx, event)
            except Exception:
                # Too late to refuse: what is committed stays.
                _log.exception("Unable to notify %s of %s", listener, event.uri)


Planned = tuple[Request, Step | ApiError]
"""A part of a batch: its route is known, or it is known to have none."""


def _parts(site: Site, step: Step) -> Sequence[Planned]:
    """Return the parts of a batch, each with its route: before any lock is taken."""
    inputs.negotiate_body(step.request, (inputs.JSON,))
    requests = batch.read(step.request, site.routes.prefix, site.settings.batch_max_requests)
    return [_planned(site, each) for each in requests]


def _planned(site: Site, request: Request) -> Planned:
    try:
        step = routing.find(site, request)
        if isinstance(step, Redirect):
            # Followed once, with the same method, headers and body.
            request = msgspec.structs.replace(request, path=step.path)
            step = routing.find(site, request)
            if isinstance(step, Redirect):
                raise UnknownUrl()
        routing.require_method(step)
        return request, step
    except ApiError as error:
        return request, error


async def _handle_all(site: Site, parts: Iterable[Planned], tx: Transaction) -> Response:
    """Serve the parts of a batch, one after the other: each sees what those before it did.

    A part that fails leaves nothing behind, and the others go on; where it failed by the server, or by a conflict,
    nothing of the whole batch is kept, and no part claims to be (section 12.4).
    """
    answers = []
    for request, step in parts:
        try:
            if isinstance(step, ApiError):
                raise step
            async with tx.part():
                response = await handle(site, step, tx)
            if response.status >= 500:
                raise PartFailed(response)
        except ApiError as error:
            if error.status >= 500 or isinstance(error, Conflict):
                raise
            response = error_response(site, request, error)
        answers.append((request, response))
    return json_response(batch.answer(answers))


def _lists_written(steps: Iterable[Step | Planned]) -> Collection[Place]:
    """Return the lists that are locked before anything is read."""
    found = (each if isinstance(each, Step) else each[1] for each in steps)
    return {each.target.place for each in found if isinstance(each, Step) and each.writes}
