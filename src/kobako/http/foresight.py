"""What a request will ask the database, told beforehand: a far one answers all of it at once.

Source: design, "The walk of a request".
"""

from kobako.databases.base import Foreseen
from kobako.http.routing import SAFE, Step
from kobako.model import inheritance
from kobako.model.access import anonymous, authenticated


def foreseen(step: Step) -> Foreseen | None:
    """Return what serving a step will read; None for what is read otherwise, or where the id is not known yet."""
    target, method = step.target, step.request.method
    if step.route.kind not in ("object", "list") or target.resource.owned or step.implies or method == "POST":
        return None
    identity, added = step.sender.identity, step.sender.added
    caller = authenticated(identity.user, identity.principals | added) if identity else anonymous(added)
    is_all = method in SAFE and _reads_little(step) and not (identity is None and target.resource.expires_with_parent)
    uris = inheritance.lineage(target)
    return Foreseen(caller.user, caller.principals, uris, target.place, target.id, is_all)


def _reads_little(step: Step) -> bool:
    """Tell whether nothing else is read: mostly nothing has changed for those who poll."""
    return step.route.kind == "object" or "_since=" in step.request.query
