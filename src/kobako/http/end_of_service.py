"""The end of the service: announced with every answer before its date, and the only answer from then on.

Both are told in the `Alert` header, one JSON object. A client reads one alert: where a request also uses what is
deprecated, that of the service, which concerns all it does, goes before.

Source: HTTP API, section 13.3.
"""

from kobako.http import cors
from kobako.http.site import EndOfService, Site
from kobako.protocol import jsontext
from kobako.protocol.errors import ServiceDeprecated
from kobako.protocol.messages import Request, Response
from kobako.settings import Settings


def planned(settings: Settings) -> EndOfService | None:
    """Return when the service ends by its settings, None for never."""
    if settings.eos is None:
        return None
    told = {"message": settings.eos_message, "url": settings.eos_url or settings.project_docs}
    before, after = (_alert(code, told) for code in ("soft-eol", "hard-eol"))
    return EndOfService(at_ms=int(settings.eos.timestamp() * 1000), before=before, after=after)


def _alert(code: str, told: dict[str, str | None]) -> str:
    # A header holds ASCII on one line; in JSON the rest has an escape.
    text = jsontext.encode({"code": code, **told})
    return "".join(each if " " <= each <= "~" else _escaped(each) for each in text)


def _escaped(character: str) -> str:
    raw = character.encode("utf-16-be")
    return "".join(f"\\u{raw[at : at + 2].hex()}" for at in range(0, len(raw), 2))


def require_service(site: Site) -> None:
    """Raise ServiceDeprecated once the service has ended: before anything else is looked at (section 2.5)."""
    if site.end and site.backends.clock() >= site.end.at_ms:
        raise ServiceDeprecated()


def announce(site: Site, request: Request, response: Response) -> None:
    """Tell with an answer when the service ends, or that it has ended."""
    if site.end is None:
        return
    if response.errno != ServiceDeprecated.errno:
        response.headers["Alert"] = site.end.before
        return
    response.headers["Alert"] = site.end.after
    del response.headers["X-Content-Type-Options"]
    if (origin := cors.allowed_origin(site, request, known=True)) is not None:
        response.headers["Access-Control-Allow-Origin"] = origin
