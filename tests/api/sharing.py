"""What the tests about permissions and batches share: a small world, servers with other settings, users by name."""

import dataclasses
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from tests.conftest import SETTINGS

from kobako.app import App
from kobako.model.listeners import Listener
from kobako.model.resource import Resource
from kobako.resources import RESOURCES
from kobako.testing.client import Answer, Client

B = "/buckets/b"
C = f"{B}/collections/c"
R = f"{C}/records/r"
G = f"{B}/groups/g"

WORLD = (B, f"{B}/collections/c", f"{B}/collections/d", G, f"{B}/groups/h", R, f"{C}/records/s")
"""A bucket with two collections and two groups; the first collection has two records."""

CHALLENGE = 'Basic realm="Realm"'


@asynccontextmanager
async def serving(
    *,
    resources: Iterable[Resource] = RESOURCES,
    before_commit: Sequence[Any] = (),
    after_commit: Sequence[Any] = (),
    listeners: Sequence[Listener] = (),
    **changes: Any,
) -> AsyncIterator[Client]:
    """A client of an empty server with other settings, listeners (or just what they run) or resources."""
    settings = dataclasses.replace(SETTINGS, **changes)
    listeners = [
        *listeners,
        *[Listener(run) for run in before_commit],
        *[Listener(run, after_commit=True) for run in after_commit],
    ]
    async with Client(App(settings, resources, listeners=listeners)) as client:
        yield client


async def principal_of(client: Client) -> str:
    """Return the prefixed id of a client's user."""
    principal: str = (await client.get("/")).json["user"]["id"]
    return principal


async def create(client: Client, *uris: str, permissions: Any = None) -> None:
    """Create objects, each with the same permissions."""
    for uri in uris:
        answer = await client.put(uri, data={}, permissions=permissions)
        assert answer.status == 201, (uri, answer)


async def share(client: Client, uri: str, permission: str, *principals: str) -> None:
    """Give principals a permission on an object."""
    answer = await client.patch(uri, permissions={permission: list(principals)})
    assert answer.status == 200, (uri, answer)


async def acl(client: Client, uri: str) -> dict[str, set[str]]:
    """Return the ACL of an object as its owner sees it."""
    answer = await client.get(uri)
    assert answer.status == 200, (uri, answer)
    return {permission: set(principals) for permission, principals in answer.json["permissions"].items()}


def ids(answer: Answer) -> set[str]:
    """Return the ids in a list."""
    assert answer.status == 200, answer
    return {each["id"] for each in answer.data}


@asynccontextmanager
async def world(**principals: frozenset[str]) -> AsyncIterator[tuple[Client, Client]]:
    """The owner of the objects of the world, and a user who may do nothing but what the settings give."""
    async with serving() as probe:
        owner_id, other_id = await principal_of(probe), await principal_of(probe.as_user("ann"))
    given = {name: frozenset({other_id}) if each is OTHER else each for name, each in principals.items()}
    given["bucket_create"] = given.get("bucket_create", frozenset()) | {owner_id}
    async with serving(principals_by_permission=given) as owner:
        await create(owner, *WORLD)
        yield owner, owner.as_user("ann")


OTHER: frozenset[str] = frozenset({"whoever is not the owner"})


async def contents(owner: Client) -> list[Any]:
    """Return all there is, as its owner sees it."""
    lists = ("/buckets", f"{B}/collections", f"{B}/groups", f"{C}/records")
    return [(await owner.get(each)).json for each in lists] + [(await owner.get(each)).json for each in WORLD]


def put(uri: str, **data: Any) -> dict[str, Any]:
    """Return the part of a batch that writes an object."""
    return {"method": "PUT", "path": uri, "body": {"data": data}}


def parts(answer: Answer) -> list[Any]:
    """Return the answers to the parts of a batch that was served."""
    assert answer.status == 200, answer
    responses: list[Any] = answer.json["responses"]
    return responses


def statuses(answer: Answer) -> list[int]:
    """Return the statuses of the parts of a batch that was served."""
    return [each["status"] for each in parts(answer)]
