"""A URL that tells how many objects are stored, of each kind, and how many tombstones: for whoever watches a server.

Source: objects, 13.1.
"""

from typing import Final

from kobako import Call, Plugin, Response, Settings, View, encode, json_response

CAPABILITY: Final = {
    "description": "The __counters__ endpoint exposes how many objects are stored.",
    "url": "https://kinto.readthedocs.io/en/latest/api/1.x/counters.html",
}

KINDS: Final = ("account", "bucket", "group", "collection", "record", "history", "attachments")
"""Kinds that are counted, besides those of the app: what else is stored is the server's own."""


def plugin(settings: Settings) -> Plugin:
    """Return the plugin."""
    view = View(name="counters", path="/__counters__", methods={"GET": count}, describes={"get": {"security": []}})
    return Plugin(name="counters", views=[view], capabilities={"counters_endpoint": CAPABILITY})


async def count(call: Call) -> Response:
    """Tell how many objects are stored."""
    totals = await call.tx.storage.totals()
    known = {*KINDS, *(each.name for each in call.tx.resources)}
    shown = {kind: totals[kind] for kind in sorted(totals) if kind in known}
    objects = {kind: each.objects for kind, each in shown.items() if each.objects}
    tombstones = {kind: each.tombstones for kind, each in shown.items() if each.tombstones}
    return json_response(encode({"objects": objects, "tombstones": tombstones}))
