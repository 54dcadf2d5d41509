"""What a request will ask the database, told beforehand: a far one answers all of it at once.

Source: design, "The walk of a request".
"""

from collections.abc import Sequence

import msgspec

from kobako.databases.base import Foreseen, Sought
from kobako.http.routing import SAFE, Step
from kobako.model import inheritance
from kobako.model.access import anonymous, authenticated


def foreseen(steps: Sequence[Step], with_version: bool) -> Foreseen | None:
    """Return what serving steps will read; None for what is read otherwise, or not known yet."""
    about = [each for each in steps if _is_about_objects(each)]
    is_single = len(steps) == 1
    objects = tuple(Sought(each.target.place, each.target.id, each.target.uri) for each in about if each.target.id)
    if not about or any(each.sender != about[0].sender for each in about):
        return None
    identity, added = about[0].sender.identity, about[0].sender.added
    caller = authenticated(identity.user, identity.principals | added) if identity else anonymous(added)
    return Foreseen(
        user=caller.user,
        principals=caller.principals,
        uris=tuple({uri: None for each in about for uri in inheritance.lineage(each.target)}),
        objects=objects,
        place=about[0].target.place if is_single else None,
        is_all=is_single and _reads_little(about[0]),
        with_version=with_version,
    )


def and_more(expected: Foreseen | None) -> Foreseen | None:
    """Return what was foreseen, and that it is not all."""
    return msgspec.structs.replace(expected, is_all=False) if expected else None


def _is_about_objects(step: Step) -> bool:
    return step.route.kind in ("object", "list") and not step.target.resource.owned and not step.implies


def _reads_little(step: Step) -> bool:
    """Tell whether nothing else is read: mostly nothing has changed for those who poll."""
    if step.request.method not in SAFE:
        return False
    if step.sender.identity is None and step.target.resource.expires_with_parent:
        # How long the answer may be kept, the parent says.
        return False
    return step.route.kind == "object" or "_since=" in step.request.query
