"""Who sent a request, and which lists it means and writes, where that depends on them or on a view: asked once, and
known before any list is locked.

Source: objects, 27.4 (user resources).
"""

import msgspec

from kobako.http.authentication import recognize
from kobako.http.routing import SAFE, Step
from kobako.http.site import Site
from kobako.model.resource import Target


async def placed(site: Site, step: Step) -> Step:
    """Return a step with its sender, whose target is the sender's list if each user has one, and what its view writes.

    Nobody in particular has the list of no user, in which nobody may do anything.
    """
    sender = await recognize(site, step.request)
    if site.arrivals:
        step = await _arrived(site, msgspec.structs.replace(step, sender=sender))
    request, route, target = step.request, step.route, step.target
    is_view = route.writes is not None and request.method not in SAFE
    also = (*step.also, *route.writes(request, target.variables)) if route.writes and is_view else step.also
    user = sender.identity.user if sender.identity else ""
    if also:
        also = tuple(_own(each, user) for each in also)
    return Step(request, route, _own(target, user), also, sender, step.implies)


async def _arrived(site: Site, step: Step) -> Step:
    """Return what plugins have done in the place of a request."""
    for arrive in site.arrivals:
        step = await arrive(site, step)
    return step


def _own(target: Target, user: str) -> Target:
    return target.of(user) if target.resource.owned else target
