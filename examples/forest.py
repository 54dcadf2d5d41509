"""An application written with Kobako's public names: mushrooms of one's own, trails that are shared, and a plugin.

    uvicorn --factory forest:create_app     # or any other ASGI server, in this folder

Each user keeps a list of mushrooms, no two of one name. Trails are shared, and have spots. The plugin closes trails:
on a closed one nobody adds a spot; and it counts what is added, once it is stored.
"""

import os
from collections.abc import Mapping
from typing import Annotated, Final

import msgspec

from kobako import (
    AUTHENTICATED,
    NAME,
    App,
    Call,
    Forbidden,
    Listener,
    ObjectsChanged,
    Plugin,
    Request,
    Resource,
    Response,
    Settings,
    Target,
    Transaction,
    UnknownObject,
    View,
    encode,
    json_response,
    objects,
    read_options,
    read_settings,
    require,
)


class Mushroom(msgspec.Struct, forbid_unknown_fields=True):
    """What is known of a mushroom."""

    name: Annotated[str, msgspec.Meta(min_length=1)]
    edible: bool = False
    grams: Annotated[int, msgspec.Meta(ge=0)] | None = None


MUSHROOM: Final = Resource(name="mushroom", path="/mushrooms", owned=True, unique=("name",), schema=Mushroom)

TRAIL: Final = Resource(
    name="trail",
    path="/trails",
    permissions=("read", "write", "spot:create"),
    creators=(AUTHENTICATED,),
    ids=NAME,
)

SPOT: Final = Resource(
    name="spot",
    path="/trails/{trail_id}/spots",
    parent=TRAIL,
    schema={"type": "object", "required": ["km"], "properties": {"km": {"type": "number", "minimum": 0}}},
)


class Options(msgspec.Struct):
    """The settings of the plugin: `kobako.trails.most = 100`."""

    most: int = 100


def plugin(settings: Settings) -> Plugin:
    """Return the plugin of trails, which counts the spots that are added while it runs."""
    options = read_options(settings, "trails", Options)
    added: dict[str, int] = {}

    async def count(tx: Transaction, event: ObjectsChanged) -> None:
        trail = event.place.parent
        added[trail] = added.get(trail, 0) + len(event.changes)

    async def tell(call: Call) -> Response:
        """Tell how many spots were added to a trail."""
        trail = _trail(call.target.variables)
        await require(call, "read", trail)
        return json_response(encode({"added": added.get(trail.uri, 0), "most": options.most}))

    return Plugin(
        name="trails",
        views=[
            View(name="trail-added", path="/trails/{trail_id}/added", methods={"GET": tell}),
            View(name="trail-close", path="/trails/{trail_id}/close", methods={"POST": close}, writes=_closed),
        ],
        listeners=[
            Listener(refuse_on_closed, actions=["create"], resources=["spot"]),
            Listener(count, actions=["create"], resources=["spot"], after_commit=True),
        ],
        capabilities={"trails": {"description": "Trails can be closed.", "url": "", "most": options.most}},
    )


async def close(call: Call) -> Response:
    """Close a trail."""
    trail = _trail(call.target.variables)
    await require(call, "write", trail)
    old = await objects.find(call.tx, trail)
    if old is None:
        raise UnknownObject(str(trail.id), "trail")
    new = await objects.write(call.tx, trail, {**old.data(), "closed": True}, old=old, by=call.caller.user)
    return json_response(encode({"data": new.data()}))


async def refuse_on_closed(tx: Transaction, event: ObjectsChanged) -> None:
    """Refuse spots on a closed trail; the whole request is undone."""
    trail = event.target.parent()
    found = await objects.find(tx, trail) if trail else None
    if found and found.data().get("closed"):
        raise Forbidden(f"Trail {found.id} is closed.")


def _trail(variables: Mapping[str, str]) -> Target:
    return TRAIL.target("/trails", variables["trail_id"])


def _closed(request: Request, variables: Mapping[str, str]) -> list[Target]:
    return [_trail(variables)]


def app(settings: Settings) -> App:
    """Return the application."""
    return App(settings, [MUSHROOM, TRAIL, SPOT], plugins=[plugin(settings)])


def create_app() -> App:
    """Return the application that the environment describes; a configuration file is for the stock server."""
    return app(read_settings(None, os.environ, resources=["mushroom", "trail", "spot"]))
