"""Hello, heartbeats, version: what tells about the server itself.

Source: HTTP API, section 6.
"""

import asyncio
from typing import Any, Final

from kobako.http.responses import expiring, json_response
from kobako.http.site import Call, Check, Site
from kobako.protocol import jsontext
from kobako.protocol.errors import ServerError
from kobako.protocol.messages import Request, Response

CONTRIBUTE: Final = {
    "name": "Kobako",
    "description": "Stores JSON, synchronises it and shares it: a server for the Kinto HTTP API, and a toolkit.",
    "repository": {"url": "", "license": "Apache-2.0", "tests": ""},
    "participate": {"home": "", "docs": "", "irc": "", "irc-contacts": []},
    "bugs": {"list": "", "report": ""},
    "keywords": ["JSON", "REST", "HTTP", "storage", "synchronisation", "sharing", "Python", "SQLite"],
}


async def hello(call: Call) -> Response:
    """Return what the server is, what it can do, and who the caller is."""
    settings, caller = call.site.settings, call.caller
    data: dict[str, Any] = {
        "project_name": settings.project_name,
        "project_version": settings.project_version,
        "http_api_version": settings.http_api_version,
        "project_docs": settings.project_docs,
        "url": f"{call.request.origin}{call.site.routes.prefix}/",
        "config": settings.config,
        "settings": {
            "batch_max_requests": settings.batch_max_requests,
            "readonly": settings.readonly,
            "explicit_permissions": settings.explicit_permissions,
        },
        "capabilities": call.site.capabilities,
    }
    if settings.eos:
        data["eos"] = settings.eos_text or settings.eos.isoformat()
    if caller.user:
        data["user"] = {
            "id": caller.user,
            "principals": [caller.user, *sorted(caller.principals - {caller.user})],
        }
        for about in call.site.about_user:
            data["user"] |= await about(call)
    # What differs from one user to another may be kept only where nobody can change it (section 6.1).
    seconds = settings.cache_expires_seconds("root") if settings.readonly else None
    return json_response(jsontext.encode(data), headers=expiring(seconds, call.tx.now / 1000) if seconds else None)


async def heartbeat(site: Site, request: Request) -> Response:
    """Return the state of every subsystem: 503 if one is down."""
    checks = site.heartbeats
    timeout_s = site.settings.heartbeat_timeout_seconds
    results = await asyncio.gather(*(_passes(check, timeout_s) for check in checks.values()))
    status = 503 if False in results else 200
    return json_response(jsontext.encode(dict(zip(checks, results, strict=True))), status)


async def lbheartbeat(site: Site, request: Request) -> Response:
    """Tell a load balancer that the process is up; no backend is touched."""
    return json_response("{}")


async def version(site: Site, request: Request) -> Response:
    """Return the content of the version file, as it was at the start: a 500 without one, as clients expect."""
    if site.version_file is None:
        raise ServerError()
    return json_response(jsontext.encode(site.version_file))


async def contribute(site: Site, request: Request) -> Response:
    """Return who makes this and how to take part; what nobody has said yet is empty."""
    return json_response(jsontext.encode(CONTRIBUTE))


async def _passes(check: Check, timeout_s: float) -> bool | None:
    try:
        return await asyncio.wait_for(check(), timeout_s)
    except Exception:
        # Late or crashing: either way nobody should rely on it now.
        return False
