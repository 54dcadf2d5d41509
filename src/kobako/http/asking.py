"""What the answer to a request depends on, for answers that are kept (`kept.py`).

Source: design, "The walk of a request".
"""

from typing import Final

from kobako.http.kept import Question
from kobako.http.routing import Step
from kobako.http.site import Site
from kobako.model.resource import Resource

READS: Final = ("GET", "HEAD")

OF_ONE_REQUEST: Final = frozenset({"cf-ray", "traceparent", "x-amzn-trace-id", "x-request-id"})
"""Ids of requests: with one of them no request is sent twice."""

WITHOUT_EFFECT: Final = OF_ONE_REQUEST.union(
    {
        "accept-encoding",
        "accept-language",
        "authorization",
        "cache-control",
        *("cf-connecting-ip", "cf-ipcountry", "cf-visitor"),
        "connection",
        "cookie",
        "dnt",
        "forwarded",
        "host",
        "if-modified-since",
        "pragma",
        "priority",
        "referer",
        "tracestate",
        "user-agent",
        "via",
        *("x-forwarded-for", "x-forwarded-host", "x-forwarded-port", "x-forwarded-proto"),
        "x-real-ip",
        *("sec-fetch-dest", "sec-fetch-mode", "sec-fetch-site", "sec-ch-ua", "sec-ch-ua-mobile", "sec-ch-ua-platform"),
    }
)
"""Headers that no endpoint looks at: others make another question. Who asks, and the host, are in it anyway."""


def question(site: Site, step: Step) -> Question | None:
    """Return what the answer to a request depends on, besides the database; None where nobody can tell.

    Where plugins have a say in what is read, or want to hear of it, it may depend on anything.
    """
    request = step.request
    if not site.kept.most_bytes or request.method not in READS or request.body or step.implies:
        return None
    if not (_is_of_sender(site, step) if step.route.resource is None else _is_of_list(site, step.route.resource)):
        return None
    told = tuple([each for each in request.headers.items() if each[0] not in WITHOUT_EFFECT])
    return Question(step.sender, request.method, request.path, request.query, request.origin, told)


def _is_of_sender(site: Site, step: Step) -> bool:
    """Tell whether all that is said follows from who asks."""
    return step.route.is_of_sender and not site.about_user


def _is_of_list(site: Site, resource: Resource) -> bool:
    """Tell whether nobody else has a say in what is read of a list, nor wants to hear of it."""
    has_own = resource.rights or resource.sift or resource.restrict
    return not (has_own or site.backends.authorize or site.listeners.hear("read", resource.name))
