"""What requests imply: objects that are created in the sender's name, where they are not there (`Step.implies`).

They are looked for in the transaction of the request, so that they cost one reading where they are there. Only where
one is absent, the transaction is begun anew with its list locked: of requests that come at once, on any worker, one
creates it, and the others find it.

Source: objects, 10.2.
"""

from kobako.http.handling import handle
from kobako.http.log import Summary
from kobako.http.responses import error_response
from kobako.http.routing import Step
from kobako.http.site import Site
from kobako.model import objects
from kobako.model.resource import Target
from kobako.model.transaction import Transaction
from kobako.protocol.errors import ApiError, Conflict
from kobako.protocol.messages import Response


class Absent(Exception):
    """What a request implies is not there, and the transaction has not locked the list where it would be created."""


async def handle_implying(site: Site, step: Step, tx: Transaction, summary: Summary | None = None) -> Response:
    """Serve one request that implies something: what is created for it stays, also where it is then refused."""
    if not await create(step, tx):
        return await handle(site, step, tx, summary)
    try:
        async with tx.part():
            return await handle(site, step, tx, summary)
    except ApiError as error:
        if error.status >= 500 or isinstance(error, Conflict):
            raise
        return error_response(site, step.request, error)


async def create(step: Step, tx: Transaction) -> bool:
    """Create what a request implies and is not there; tell whether anything was. Raises Absent."""
    absent = await find_absent(step, tx)
    for each in absent:
        await _create(tx, each, step)
        tx.implied.add(each.uri)
    return bool(absent)


async def find_absent(step: Step, tx: Transaction) -> list[Target]:
    """Return what a request implies and is not there, the outermost first. Raises Absent.

    What is there is looked for once in a transaction, or again once a part of a batch has deleted something. Where an
    object is, there is all that it is in.
    """
    awaited = _awaited(step)
    there = len(awaited)
    while there and not await _is_there(awaited[there - 1], tx):
        there -= 1
    tx.implied.update(each.uri for each in awaited[:there])
    if any(each.place not in tx.lists for each in awaited[there:]):
        raise Absent
    return [*awaited[there:]]


async def _is_there(target: Target, tx: Transaction) -> bool:
    return target.uri in tx.implied or await objects.find(tx, target) is not None


def _awaited(step: Step) -> tuple[Target, ...]:
    """Return what has to be there before the request: all but what it creates itself."""
    creates = step.target.uri if step.request.method == "PUT" else None
    return tuple(each for each in step.implies if each.uri != creates)


async def _create(tx: Transaction, target: Target, step: Step) -> None:
    assert step.sender.identity, "who sent what implies something is known"
    user = step.sender.identity.user
    data = target.resource.validate({}, "data.")
    await objects.write(tx, target, data, {"write": [user]}, old=None, by=user)
