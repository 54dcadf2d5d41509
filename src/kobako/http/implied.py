"""What requests imply: objects that are created in the sender's name, where they are not there (`Step.implies`).

They are looked for in the transaction of the request, so that they cost one reading where they are there. Only where
one is absent the transaction is given up, the object created in one of its own, exactly as a PUT would, and the
request begun anew: of requests that come at once, on any worker, one creates it, and the others find it.

Source: objects, 10.2.
"""

from collections.abc import Collection, Sequence

from kobako.databases.base import attempts
from kobako.http.routing import Step
from kobako.http.site import Site
from kobako.model import objects
from kobako.model.resource import Target
from kobako.model.transaction import Transaction


class Absent(Exception):
    """What a request implies is not there: the target, and the user in whose name it is created."""

    def __init__(self, target: Target, user: str):
        super().__init__(f"{target.uri} is not there")
        self.target = target
        self.user = user


async def require(step: Step, tx: Transaction, but: Collection[str] = ()) -> None:
    """Raise Absent for the outermost of what a request implies and is not there, unless its URI is among these."""
    absent = await _find_absent(step, tx)
    if absent and absent[0].uri not in but:
        raise Absent(absent[0], _sender(step))


async def create(site: Site, absent: Absent) -> None:
    """Create what was absent, in a transaction of its own, unless somebody else has; or unless what it is in went."""
    target = absent.target
    for attempt in attempts():
        async with attempt, site.backends.begin([target.place]) as tx:
            parent = target.parent()
            if (parent is None or await objects.find(tx, parent)) and await objects.find(tx, target) is None:
                await _create(tx, target, absent.user)
            await site.listeners.before_commit(tx)
    await site.listeners.after_commit(tx)


async def create_within(step: Step, tx: Transaction) -> None:
    """Create what a part of a batch implies and former parts have deleted, or what is in an object that they made."""
    for each in await _find_absent(step, tx):
        # It takes the lock of the list; what is in it counts from then on.
        await tx.storage.open(each.place)
        if await objects.find(tx, each) is None:
            await _create(tx, each, _sender(step))
        tx.implied.add(each.uri)


async def _find_absent(step: Step, tx: Transaction) -> Sequence[Target]:
    """Return what a request implies and is not there, the outermost first; but for what it creates itself.

    What is there is looked for once in a transaction, or again once a part of a batch has deleted something. Where an
    object is, there is all that it is in.
    """
    creates = step.target.uri if step.request.method == "PUT" else None
    awaited = [each for each in step.implies if each.uri != creates]
    there = len(awaited)
    while there and not await _is_there(awaited[there - 1], tx):
        there -= 1
    tx.implied.update(each.uri for each in awaited[:there])
    return awaited[there:]


async def _is_there(target: Target, tx: Transaction) -> bool:
    return target.uri in tx.implied or await objects.find(tx, target) is not None


async def _create(tx: Transaction, target: Target, user: str) -> None:
    data = target.resource.validate({}, "data.")
    await objects.write(tx, target, data, {"write": [user]}, old=None, by=user)


def _sender(step: Step) -> str:
    assert step.sender.identity, "who sent what implies something is known"
    return step.sender.identity.user
