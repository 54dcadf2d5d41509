"""Who sent a request, and which lists it means and writes, where that depends on them or on a view: asked once, and
known before any list is locked.

Source: objects, 27.4 (user resources).
"""

from collections.abc import Hashable

from kobako.http.authentication import recognize
from kobako.http.routing import SAFE, Step
from kobako.http.site import Site
from kobako.model.resource import Target


async def placed(site: Site, step: Step, version: Hashable = None) -> Step:
    """Return a step with its sender, whose target is the sender's list if each user has one, and what its view writes.

    `version` is the database's, if it tells that. Nobody in particular has the list of no user, in which nobody may do
    anything.
    """
    sender = await recognize(site, step.request, version)
    step = Step(step.request, step.route, step.target, step.also, sender, step.implies)
    for arrive in site.arrivals:
        step = await arrive(site, step)
    if not (step.also or step.route.writes or step.target.resource.owned):
        return step
    request, route, target, also = step.request, step.route, step.target, step.also
    if route.writes and request.method not in SAFE:
        also = (*also, *route.writes(request, target.variables))
    user = sender.identity.user if sender.identity else ""
    return Step(request, route, _own(target, user), tuple(_own(each, user) for each in also), sender, step.implies)


def _own(target: Target, user: str) -> Target:
    return target.of(user) if target.resource.owned else target
