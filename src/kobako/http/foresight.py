"""What a request will ask the database, told beforehand: a far one answers all of it at once.

Source: design, "The walk of a request".
"""

from collections.abc import Hashable, Sequence
from typing import Final

import msgspec

from kobako.databases.base import Foreseen, Sought
from kobako.http import inputs
from kobako.http.routing import SAFE, Step
from kobako.http.site import Site
from kobako.model import inheritance, objects
from kobako.model.access import Caller, anonymous, authenticated
from kobako.model.resource import Resource
from kobako.protocol import params
from kobako.protocol.errors import ApiError, Problem
from kobako.protocol.selection import Selection

_WRITING_ONE: Final = ("PUT", "PATCH", "POST")


def foreseen(site: Site, steps: Sequence[Step], with_version: bool) -> Foreseen | None:
    """Return what serving steps will read; None for what is read otherwise, or not known yet."""
    is_single = len(steps) == 1
    if is_single and steps[0].route.is_of_sender:
        caller = _caller(steps[0])
        is_all = not site.about_user
        return Foreseen(user=caller.user, principals=caller.principals, is_all=is_all, with_version=with_version)
    about = [each for each in steps if _is_about_objects(each)]
    targets = [each.target for each in about]
    sought = tuple(Sought(each.place, each.id, each.uri) for each in targets if each.id)
    if not about or any(each.sender != about[0].sender for each in about[1:]):
        return None
    caller = _caller(about[0])
    is_all = is_single and (_reads_little if about[0].request.method in SAFE else _writes_little)(site, about[0])
    return Foreseen(
        user=caller.user,
        principals=caller.principals,
        uris=tuple(dict.fromkeys([uri for each in targets for uri in inheritance.lineage(each)])),
        objects=sought,
        place=targets[0].place if all(each.place == targets[0].place for each in targets[1:]) else None,
        selection=_selection(site, about[0]) if is_all and about[0].request.method == "GET" and not sought else None,
        is_all=is_all,
        with_version=with_version,
        concerns=site.backends.concern(about[0].target) if is_single else None,
    )


def and_more(site: Site, steps: Sequence[Step], expected: Foreseen | None) -> Foreseen | None:
    """Return what was foreseen, and that it is not all; it is noted of those who ask for the list, or write in it."""
    is_written = steps[0].request.method not in SAFE
    if is_written or steps[0].route.kind == "list":
        site.surprises.note(_written(steps[0]) if is_written else _asked(steps[0]))
    return msgspec.structs.replace(expected, is_all=False, selection=None) if expected else None


def anew(expected: Foreseen | None) -> Foreseen | None:
    """Return what was foreseen, to be asked for whatever is known of it."""
    return msgspec.structs.replace(expected, is_anew=True) if expected else None


def _caller(step: Step) -> Caller:
    """Return who asks, before it is known which groups they are in."""
    identity, added = step.sender.identity, step.sender.added
    return authenticated(identity.user, identity.principals | added) if identity else anonymous(added)


def _is_about_objects(step: Step) -> bool:
    return step.route.kind in ("object", "list") and not step.target.resource.owned and not step.implies


def _reads_little(site: Site, step: Step) -> bool:
    """Tell whether nothing else is read: an object, or a page of a list."""
    if step.sender.identity is None and step.target.resource.expires_with_parent:
        # How long the answer may be kept, the parent says.
        return False
    if step.target.id is not None:
        return True
    if step.request.method != "GET" or site.surprises.expected(_asked(step)):
        return False
    # Mostly nothing has changed for those who poll: how the list is, is enough then.
    return not _looks_into(step.target.resource) or "_since=" in step.request.query


def _writes_little(site: Site, step: Step) -> bool:
    """Tell whether an object is written and nothing else, in a list that others do not write all the time."""
    resource = step.target.resource
    is_plain = not (site.backends.resources.children(resource) or resource.unique or resource.react)
    return is_plain and step.request.method in _WRITING_ONE and not site.surprises.expected(_written(step))


def _selection(site: Site, step: Step) -> Selection | None:
    """Return which objects of a list are read, if any are."""
    resource = step.target.resource
    if _looks_into(resource):
        return None
    text, problems = step.request.query, list[Problem]()
    try:
        params.check(params.parse(text), problems)
        wanted = None if problems else inputs.list_query(site, resource, text, site.backends.clock())
    except ApiError:
        # It is told what is wrong where its turn comes.
        return None
    return objects.selected(wanted) if wanted else None


def _looks_into(resource: Resource) -> bool:
    """Tell whether more than ACLs say what is shown of a list."""
    return bool(resource.sift or resource.restrict)


def _written(step: Step) -> Hashable:
    return step.request.method, step.target.place


def _asked(step: Step) -> Hashable:
    return step.sender.identity and step.sender.identity.user, step.target.list_uri
