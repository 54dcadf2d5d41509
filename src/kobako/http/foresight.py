"""What a request will ask the database, told beforehand: one journey there instead of one for each question.

Source: design, "The walk of a request".
"""

from kobako.databases.base import Foreseen
from kobako.http.routing import Step
from kobako.model import inheritance
from kobako.model.access import anonymous, authenticated


def foreseen(step: Step) -> Foreseen | None:
    """Return what serving a step will read, None where that is not known.

    An object is read with its ACL. Of a list little is read by those who poll: mostly nothing has changed.
    """
    request, target, sender = step.request, step.target, step.sender
    is_known = step.route.kind == "object" or (step.route.kind == "list" and "_since=" in request.query)
    if request.method not in ("GET", "HEAD") or not is_known or target.resource.owned or step.implies:
        return None
    identity, added = sender.identity, sender.added
    if identity:
        caller = authenticated(identity.user, identity.principals | added)
    elif target.resource.expires_with_parent:
        # How long the answer may be kept, the parent says.
        return None
    else:
        caller = anonymous(added)
    return Foreseen(caller.user, caller.principals, inheritance.lineage(target), target.place, target.id)
