"""answer(): one HTTP request, one transaction, done again when it meets others in its way.

Source: design, "The walk of a request"; HTTP API, sections 12.3 and 12.4.
"""

from collections.abc import Awaitable, Collection, Hashable
from typing import Any

from kobako.databases.base import NotForeseen, Outdated, attempts
from kobako.http import (
    asking,
    batches,
    cors,
    end_of_service,
    foresight,
    idempotency,
    implied,
    kept,
    log,
    measuring,
    routing,
)
from kobako.http.batches import PartFailed, Plan, handle_all
from kobako.http.handling import handle
from kobako.http.idempotency import Once
from kobako.http.implied import Absent
from kobako.http.kept import Question
from kobako.http.log import Summary
from kobako.http.owners import placed
from kobako.http.repeats import Grounds
from kobako.http.responses import error_response
from kobako.http.routing import Redirect, Step
from kobako.http.site import Site
from kobako.http.streaming import Streamed
from kobako.model.transaction import Transaction
from kobako.protocol.errors import ApiError, Conflict, InvalidParameters
from kobako.protocol.messages import Request, Response
from kobako.storage.base import Place


async def answer(
    site: Site, request: Request, refused: Exception | None = None, grounds: Grounds | None = None
) -> Response:
    """Serve one HTTP request, as it came from the network; `refused` if the edge would not read all of it, or failed.

    In `grounds` it is noted what the answer rests on, if that can be told.
    """
    summary = log.begin(site, request)
    known = target = None
    try:
        end_of_service.require_service(site)
        if refused:
            raise refused
        step = routing.find(site, request)
        if isinstance(step, Redirect):
            response = routing.redirection(site, request, step)
        else:
            known, target = step.route, step.target
            routing.require_method(step)
            asks = request.method == "OPTIONS"
            response = cors.preflight(site, known, request) if asks else await _transact(site, step, summary, grounds)
    except PartFailed as failed:
        response = failed.response
    except Exception as error:
        response = error_response(site, request, error)
    response = cors.dressed(site, request, known, response)
    end_of_service.announce(site, request, response)
    if summary:
        log.end(summary, request, response)
        if site.metrics:
            measuring.answered(site.metrics, site, summary, request, known, target, response)
    return response


async def _transact(site: Site, step: Step, summary: Summary | None, grounds: Grounds | None) -> Response:
    """Serve a request in a transaction of its own; answer once it is committed, and only then tell of it."""
    if step.route.resource is None and (refused := cors.problem(site, step.request)):
        # Where there is a resource, this is told with what else is wrong, after access (section 2.5).
        raise InvalidParameters([refused])
    if step.route.offline:
        return await step.route.offline(site, step.request)
    # The version of a database that is near, before anything is read: what is committed from now on makes another.
    # Who writes is told nothing that is kept, but perhaps who they are.
    near = site.backends.version() if step.request.method in routing.SAFE or not site.senders.are_constant else None
    step = await placed(site, step, near)
    if serve := step.route.streams.get(step.request.method):
        idempotency.require_no_key(step.request)
        return await serve(Streamed(site, step, summary))
    question = asking.question(site, step)
    # What was committed to other lists does not concern it.
    of_list = site.backends.version_of(step.target) if question else None
    if question and (known := await _known(site, step, question, of_list)):
        if summary and step.sender.identity:
            summary.user = step.sender.identity.user
        version, found = known
        if grounds:
            grounds.note(step, version)
        return kept.copied(found)
    plan = await batches.plan(site, step, near) if step.route.kind == "batch" else None
    once = _once(site, step, summary)
    lists, emptied = _writes(site, step, plan, once)
    results: dict[Hashable, Any] = {}
    steps = _steps(step, plan)
    expected = foresight.foreseen(site, steps, question is not None) if site.backends.are_far else None
    is_committed = False
    while not is_committed:
        try:
            for attempt in attempts():
                async with attempt, site.backends.begin(lists, emptied, results, expected) as tx:
                    response = await _served(site, step, plan, tx, once, summary)
                    await site.listeners.before_commit(tx)
            is_committed = True
        except Absent as absent:
            await implied.create(site, absent)
        except Outdated:
            expected = foresight.anew(expected)
        except NotForeseen:
            expected = foresight.and_more(site, steps, expected)
    await site.listeners.after_commit(tx)
    if question and (version := of_list or tx.version):
        is_kept = site.kept.keep(version, question, response, site.backends.concern(step.target))
        if is_kept and grounds:
            grounds.note(step, version)
    return response


async def _known(site: Site, step: Step, question: Question, version: Hashable) -> tuple[Hashable, Response] | None:
    """Return the answer to a question that is as it was, and its version; `version` is the list's, if it is near."""
    about = site.backends.concern(step.target)
    if version is None:
        if not site.kept.is_worth_it_by_now(question, about):
            return None
        version = await site.backends.ask_version(step.target)
    found: Response | None = site.kept.find(version, question, about)
    return (version, found) if found else None


def _once(site: Site, step: Step, summary: Summary | None) -> Once | None:
    """Return what a request with an Idempotency-Key is known by, None for one that may be done any number of times."""
    is_write = step.request.method not in routing.SAFE and not site.settings.readonly
    if not is_write or idempotency.HEADER not in step.request.headers:
        return None
    once = idempotency.once(site, step)
    if summary:
        summary.user = once.user
    return once


def _served(
    site: Site, step: Step, plan: Plan | None, tx: Transaction, once: Once | None, summary: Summary | None
) -> Awaitable[Response]:
    if once:
        return _serve_once(site, step, plan, tx, once, summary)
    return handle(site, step, tx, summary) if plan is None else handle_all(site, plan, tx, summary)


async def _serve_once(
    site: Site, step: Step, plan: Plan | None, tx: Transaction, once: Once, summary: Summary | None
) -> Response:
    """Serve a request only the first time, or else give its first answer again: also where it is refused for what the
    client did wrong.
    """
    if known := await idempotency.recall(tx, once):
        return known
    try:
        async with tx.part():
            response = await _served(site, step, plan, tx, None, summary)
            await site.listeners.before_commit(tx)
    except (ApiError, PartFailed) as error:
        refusal = _final(site, step.request, error)
        if refusal is None:
            raise
        response = refusal
        tx.events.told.clear()
    await idempotency.remember(tx, once, response)
    return response


def _final(site: Site, request: Request, error: ApiError | PartFailed) -> Response | None:
    """Return the answer for what a client did wrong, kept like any other; None for what it may try again."""
    if isinstance(error, ApiError) and (error.status >= 500 or isinstance(error, Conflict)):
        return None
    response = error.response if isinstance(error, PartFailed) else error_response(site, request, error)
    return None if response.status >= 500 or response.status == Conflict.status else response


def _writes(site: Site, step: Step, plan: Plan | None, once: Once | None) -> tuple[Collection[Place], Collection[str]]:
    """Return the lists that are locked before anything is read, and the objects whose lists are locked with them."""
    if plan is None and once is None and step.request.method in routing.SAFE:
        return (), ()
    targets = [(each.request.method, target) for each in _steps(step, plan) for target in each.writes]
    has_lists = site.backends.resources.children
    # Of a whole list that is deleted, nobody knows yet which objects: their lists are locked as they are closed.
    emptied = [of.uri for method, of in targets if method == "DELETE" and of.id and has_lists(of.resource)]
    listed = {place for _, target in targets for place in site.listeners.written(target)}
    kept = (once.today, once.yesterday) if once else ()
    return {*(target.place for _, target in targets), *listed, *kept}, emptied


def _steps(step: Step, plan: Plan | None) -> list[Step]:
    return [step] if plan is None else [each for _, each in plan.parts if isinstance(each, Step)]
