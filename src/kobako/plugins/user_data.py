"""A URL that deletes what a user has: for those whom the setting `user-data_delete_principals` names.

What only the user may write is deleted, with all that is in it, and listeners are told as of any deletion. Of the rest,
which others share, the user loses their part: the rights on it, and the principals of groups.

Source: objects, 13.3.
"""

from collections.abc import Iterable
from itertools import groupby
from typing import Final

import msgspec

from kobako import (
    Call,
    Plugin,
    Request,
    Resource,
    Response,
    Selection,
    Settings,
    Site,
    Step,
    Target,
    Transaction,
    View,
    encode,
    json_response,
    objects,
)

NAME: Final = "user_data"
URI: Final = "/__user_data__"

LOCK: Final = Resource(name="user-data", path=URI).target(URI)
"""A list that stays empty: for it the transaction is one that writes, also where there is no object to delete."""


def plugin(settings: Settings) -> Plugin:
    """Return the plugin."""
    allowed = settings.principals("user-data", "delete")

    async def delete(call: Call) -> Response:
        """Delete what a user has, and whatever they may do."""
        if allowed.isdisjoint(call.caller.principals):
            raise call.caller.refusal()
        principal = call.target.variables["principal"]
        await _delete(call.tx, await _alone(call.tx, principal), by=call.caller.user)
        await call.tx.permission.erase(principal)
        return json_response(encode({"data": {"principal": principal}}))

    view = View(name=NAME, path=URI + "/{principal}", methods={"DELETE": delete}, writes=_lock)
    return Plugin(name=NAME, views=[view], arrive=_arrive, arrives_alike=True)


async def _arrive(site: Site, step: Step) -> Step:
    """Have the lists locked of what is going to be deleted; what comes up later is locked as it is deleted."""
    if step.route.name != NAME:
        return step
    async with site.backends.begin() as tx:
        return msgspec.structs.replace(step, also=tuple(await _alone(tx, step.target.variables["principal"])))


def _lock(request: Request, variables: object) -> Iterable[Target]:
    return [LOCK]


async def _alone(tx: Transaction, principal: str) -> list[Target]:
    """Return what nobody else may write, in the order of URIs, but for what is in other objects of it."""
    found: dict[str, Target] = {}
    for uri in sorted(await tx.permission.held_alone(principal, "write")):
        target = tx.resources.target(uri)
        if target and not any(each in found for each in _around(target)):
            found[uri] = target
    return [*found.values()]


def _around(target: Target) -> Iterable[str]:
    """Return the URIs of what an object is in."""
    parent = target.parent()
    while parent:
        yield parent.uri
        parent = parent.parent()


async def _delete(tx: Transaction, targets: Iterable[Target], by: str | None) -> None:
    """Delete objects, those of one list at once. What is no longer there has left an ACL behind at most."""
    for _, group in groupby(sorted(targets, key=_turn), key=_turn):
        of_list = [*group]
        ids = frozenset(str(each.id) for each in of_list)
        await objects.delete(tx, of_list[0], await tx.storage.list(of_list[0].place, Selection(ids=ids)), by=by)


def _turn(target: Target) -> tuple[int, str]:
    return target.list_uri.count("/"), target.list_uri
