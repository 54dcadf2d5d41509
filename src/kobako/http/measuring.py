"""What is counted and timed of each request, and the text that Prometheus comes for.

Nobody makes series by asking: methods and endpoints are those that exist, and ids are those of objects that were there
to be answered with.

Source: HTTP API, section 15.5; reliability, P25.
"""

import asyncio
import time
from typing import Final

from kobako.http.log import Summary
from kobako.http.site import Offline, Route, Site
from kobako.metrics.base import Labels, Metrics, Scraped
from kobako.model.resource import Target
from kobako.protocol.messages import Request, Response

METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def answered(
    metrics: Metrics,
    site: Site,
    summary: Summary,
    request: Request,
    route: Route | None,
    target: Target | None,
    response: Response,
) -> None:
    """Tell of a request that was answered. A batch is one request."""
    labels = {
        "method": request.method.lower() if request.method in METHODS else "unknown",
        "endpoint": route.name if route else "unknown",
        **_ids(site, request, target, response),
    }
    metrics.count("request_summary", {**labels, "status": str(response.status)})
    metrics.time("request_duration_seconds", time.perf_counter() - summary.began, labels)
    metrics.observe("request_size", response.size if request.method != "HEAD" else 0, labels)
    if summary.user:
        kind, _, user = summary.user.partition(":")
        metrics.count("users", {"auth": kind, "userid": user.replace(":", ".")})
        metrics.count("authentication", {"type": kind})


def _ids(site: Site, request: Request, target: Target | None, response: Response) -> Labels:
    # A preflight is answered whatever the ids in its URL.
    is_answered = response.status < 400 and request.method != "OPTIONS"
    found = target.variables if target and target.list_uri and is_answered else {}
    return {name: found.get(name, "") for name in site.settings.metrics_matchdict_fields}


def exposition(metrics: Scraped) -> Offline:
    """Return the endpoint that serves these metrics."""

    async def serve(site: Site, request: Request) -> Response:
        text = await asyncio.to_thread(metrics.exposition)
        return Response(headers={"Content-Type": metrics.content_type}, body=text)

    return serve
