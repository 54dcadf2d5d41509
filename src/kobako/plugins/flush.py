"""A URL that removes everything: for tests of applications, never for production, since anybody may ask for it.

Objects, permissions and cache go, timestamps too: those that come later are greater than any there was, so that
clients who know an older one notice.

Source: objects, 13.2 and 29.2.
"""

from typing import Final

from kobako import Plugin, Response, ServerFlushed, Settings, Streamed, View, json_response

URI: Final = "/__flush__"

CAPABILITY: Final = {
    "description": "The __flush__ endpoint can be used to remove all data from all backends.",
    "url": "https://kinto.readthedocs.io/en/latest/api/1.x/flush.html",
}

DESCRIBES: Final = {"post": {"security": [], "responses": {"202": {"description": "Nothing is left."}}}}


def plugin(settings: Settings) -> Plugin:
    """Return the plugin."""
    view = View(name="flush", path=URI, streams={"POST": flush}, describes=DESCRIBES)
    return Plugin(name="flush", views=[view], capabilities={"flush_endpoint": CAPABILITY})


async def flush(streamed: Streamed) -> Response:
    """Remove everything."""
    site = streamed.site
    await site.backends.database.flush()
    # After it: what was kept of the objects until then goes as well.
    await site.backends.cache.flush()
    async with site.backends.begin() as tx:
        event = ServerFlushed.at(URI, await tx.storage.epoch())
    await site.listeners.tell_of(tx, event)
    return json_response("{}", 202)
