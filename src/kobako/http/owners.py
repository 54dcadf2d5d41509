"""Which lists a request means and writes, where that depends on who asks or on a view: known before any is locked.

Source: objects, 27.4 (user resources).
"""

import msgspec

from kobako.http.authentication import authenticate
from kobako.http.routing import SAFE, Step
from kobako.http.site import Site
from kobako.model.resource import Target


async def placed(site: Site, step: Step) -> Step:
    """Return a step whose target is the list of who asks, if each user has one, with what else its view writes.

    Nobody in particular has the list of no user, in which nobody may do anything.
    """
    request, route, target = step.request, step.route, step.target
    is_view = route.writes is not None and request.method not in SAFE
    also = tuple(route.writes(request, target.variables)) if route.writes and is_view else ()
    if not any(each.resource.owned for each in (target, *also)):
        return msgspec.structs.replace(step, also=also) if also else step
    identity = await authenticate(site, request)
    user = identity.user if identity else ""
    return Step(request, route, _own(target, user), tuple(_own(each, user) for each in also))


def _own(target: Target, user: str) -> Target:
    return target.of(user) if target.resource.owned else target
