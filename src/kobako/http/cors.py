"""CORS: which origins may read the answers, and what browsers ask before they send.

Source: HTTP API, section 3.
"""

import random
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Final

from kobako.http.site import Route, Site
from kobako.protocol.errors import InvalidParameters, Problem
from kobako.protocol.messages import Request, Response
from kobako.settings import Feature

ALWAYS: Final = ("Backoff", "Retry-After", "Alert", "Content-Length", "Content-Type")
OBJECT_READ: Final = (*ALWAYS, "Cache-Control", "ETag", "Expires", "Last-Modified", "Pragma")
LIST_READ: Final = (*OBJECT_READ, "Next-Page")
LIST_COUNT: Final = (*LIST_READ, "Total-Objects", "Total-Records")
_ALWAYS: Final = ", ".join(ALWAYS)


def exposed(kind: str, method: str) -> str:
    """Return the Access-Control-Expose-Headers of an endpoint (section 3.2)."""
    if kind == "list" and method in ("GET", "HEAD"):
        return ", ".join(LIST_READ if method == "GET" else LIST_COUNT)
    return ", ".join(OBJECT_READ if kind == "object" and method in ("GET", "HEAD") else ALWAYS)


def accepts(origins: Sequence[str], origin: str) -> bool:
    """Tell whether an origin matches one of the patterns.

    >>> accepts(["*.daybed.io"], "https://app.daybed.io"), accepts(["https://a.b"], "https://a.c")
    (True, False)
    """
    return any(pattern == "*" or fnmatchcase(origin, pattern) for pattern in origins)


def problem(site: Site, request: Request) -> Problem | None:
    """Return what is wrong with the origin of a request, None if nothing is."""
    origin = request.headers.get("origin")
    if origin is None or accepts(site.settings.cors_origins, origin):
        return None
    return Problem("header", "Origin", f"{origin} not allowed")


def allowed_origin(site: Site, request: Request, *, known: bool) -> str | None:
    """Return the Access-Control-Allow-Origin of a response, None for none. Unknown URLs match no patterns."""
    origin, origins = request.headers.get("origin"), site.settings.cors_origins
    if "*" in origins:
        return "*" if origin or site.settings.always_cors else None
    if origin and (accepts(origins, origin) if known else origin in origins):
        return origin
    return None


def preflight(site: Site, route: Route, request: Request) -> Response:
    """Answer an OPTIONS request. Raises InvalidParameters for one that is no proper preflight (section 3.3)."""
    headers = request.headers
    mandatory = ("Origin", "Access-Control-Request-Method")
    problems = [
        Problem("header", name, "this header is mandatory") for name in mandatory if name.lower() not in headers
    ]
    method = headers.get("access-control-request-method")
    if method and method not in (*route.methods, "OPTIONS"):
        problems.append(Problem("header", mandatory[1], "Method not allowed"))
    problems += [each for each in [problem(site, request)] if each]
    if problems:
        raise InvalidParameters(problems)
    asked = [name.strip() for name in headers.get("access-control-request-headers", "").split(",")]
    answer = {
        "Content-Type": "application/json",
        "Access-Control-Allow-Methods": route.allowed,
        "Access-Control-Allow-Headers": ", ".join(dict.fromkeys([*LIST_COUNT, *filter(None, asked)])),
    }
    if site.settings.cors_max_age_seconds:
        answer["Access-Control-Max-Age"] = str(site.settings.cors_max_age_seconds)
    return Response(headers=answer, body=b"null")


CSP: Final = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; "


def _asks_to_back_off(site: Site) -> bool:
    if site.settings.backoff is None:
        return False
    percentage = site.settings.backoff_percentage
    return percentage is None or random.random() * 100 < percentage


def dressed(site: Site, request: Request, route: Route | None, response: Response) -> Response:
    """Return a response with the headers that every response has (section 1.4). `route` is None for unknown URLs."""
    headers = response.headers
    headers.setdefault("X-Content-Type-Options", "nosniff")
    if Feature.CSP_HEADERS in site.settings.features:
        headers.setdefault("Content-Security-Policy", CSP)
    # A preflight is told nothing of it, nor who uses a method that the endpoint has not.
    if exposes := route.exposes.get(request.method) if route else _ALWAYS:
        headers["Access-Control-Expose-Headers"] = exposes
    if (origin := allowed_origin(site, request, known=route is not None)) is not None:
        headers["Access-Control-Allow-Origin"] = origin
    if _asks_to_back_off(site):
        headers["Backoff"] = str(site.settings.backoff)
    return response
