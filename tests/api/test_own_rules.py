"""Resources with rules of their own: rights, data and ids that have to be given, and work that is put aside.

Source: objects, 27.4; what plugins of the package need, for others.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Set
from dataclasses import replace
from typing import Any, Literal

import pytest
from tests.conftest import SETTINGS

from kobako import (
    Acl,
    ApiError,
    App,
    IdGenerator,
    JsonObject,
    Plugin,
    Resource,
    Rights,
    Stored,
    Target,
    Transaction,
    invalid,
    objects,
)
from kobako.resources import RESOURCES
from kobako.testing.client import Client


class DeskRights(Rights, frozen=True):
    """Everybody has the desk of their number, whatever it is asked for; whoever is nobody may look at what is shown."""

    def permits(self, of: Literal["object", "list"], action: Literal["read", "write", "create"]) -> bool:
        return self.caller.user is not None and (of == "list") == (action == "create")

    def seen(self, stored: Stored | None) -> Stored | None:
        return None if self.target.id == "hidden" else stored

    def listed(self, shared: Set[str]) -> Set[str]:
        return {*shared, "first"}

    def admit(self, data: JsonObject, old: Stored | None) -> JsonObject:
        if data.get("legs") == 3:
            raise invalid("body", "data.legs", "three legs are for chairs")
        return {**data, "by": self.caller.user}

    @property
    def owner(self) -> str:
        return f"desk:{self.target.id}"

    @property
    def shows_acl(self) -> bool:
        return True

    def shows(self, acl: Acl) -> bool:
        return True

    def refusal(self, uri: str, action: Literal["read", "write", "create"]) -> ApiError:
        return invalid("path", None, f"no {action}")


async def polish(tx: Transaction, target: Target, data: JsonObject, old: Stored | None) -> JsonObject:
    """Have a desk polished outside, where it says how often."""
    for number in range(data.get("polish", 0)):
        data = {**data, f"shine {number}": await tx.aside((target.id, number), lambda n=number: shine(n))}
    return data


async def shine(number: int) -> str:
    SHINING.append(number)
    for reached, gate in GATES:
        reached.set()
        await gate.wait()
    return f"shining {number}"


SHINING: list[int] = []
GATES: list[tuple[asyncio.Event, asyncio.Event]] = []
"""What is told of work that begins, and what that waits for."""


def validate(data: JsonObject, path: str) -> JsonObject:
    if "wood" not in data:
        raise invalid("body", f"{path}wood", "Required")
    return data


DESK = Resource(
    name="desk",
    path="/desks",
    ids=IdGenerator(re.compile(r"[a-z0-9]+")),
    needs_data=True,
    validate=validate,
    prepare=polish,
    rights=DeskRights,
)
OAK = {"wood": "oak"}
OAK_TO_POLISH = {**OAK, "polish": 1}


@pytest.fixture
async def mat() -> AsyncIterator[Client]:
    """A user of a server with desks."""
    SHINING.clear()
    async with Client(App(SETTINGS, [*RESOURCES, DESK])) as client:
        yield client
    GATES.clear()


# Rights


async def test_the_rules_decide_in_place_of_acls(mat: Client) -> None:
    made = await mat.put("/desks/first", data=OAK)
    await mat.put("/desks/second", data=OAK)

    assert (made.status, made.json["permissions"]) == (201, {"write": ["desk:first"]})
    assert (await mat.as_user("bob").patch("/desks/first", data={"b": 1})).status == 200
    assert (await mat.get("/desks/first")).json["permissions"] == {"write": ["desk:first"]}
    assert [each["id"] for each in (await mat.get("/desks")).data] == ["first"]
    assert [each["id"] for each in (await mat.as_user("bob").delete("/desks")).data] == ["first"]


async def test_a_refusal_is_what_the_rules_say(mat: Client) -> None:
    refused = await mat.anonymous().get("/desks/first")

    assert (refused.status, refused.json["message"]) == (400, "path: no read")


async def test_what_is_not_seen_is_as_if_it_were_not(mat: Client) -> None:
    await mat.put("/desks/hidden", data=OAK)

    answers = [
        await mat.get("/desks/hidden"),
        await mat.patch("/desks/hidden", data={"a": 1}),
        await mat.delete("/desks/hidden"),
    ]

    assert [each.status for each in answers] == [404] * 3
    assert (await mat.post("/desks", data={**OAK, "id": "hidden"})).status == 201


async def test_the_rules_have_a_say_in_what_is_written(mat: Client) -> None:
    user = (await mat.get("/")).json["user"]["id"]

    assert (await mat.post("/desks", data={**OAK, "id": "first"})).data["by"] == user
    for method in ("PUT", "PATCH"):
        answer = await mat.request(method, "/desks/first", json={"data": {**OAK, "legs": 3}})
        assert (answer.status, answer.json["details"][0]["name"]) == (400, "data.legs")


# Data and ids


@pytest.mark.parametrize("body", [{}, {"data": {}}, {"permissions": {"read": ["x"]}}, None])
async def test_data_that_is_needed_is_not_kept_from_before(mat: Client, body: Any) -> None:
    await mat.put("/desks/first", data=OAK)
    options = {} if body is None else {"json": body}

    answers = [
        await mat.request("PUT", "/desks/first", **options),
        await mat.request("PUT", "/desks/second", **options),
    ]

    assert [(each.status, each.json["details"][0]["name"]) for each in answers] == [(400, "data.wood")] * 2


async def test_a_body_that_is_no_json_is_told_of_alone(mat: Client) -> None:
    answer = await mat.request("PUT", "/desks/first", body=b"{", headers={"Content-Type": "application/json"})

    assert {each["name"] for each in answer.json["details"]} == {""}


async def test_where_no_ids_are_made_one_has_to_be_given(mat: Client) -> None:
    answers = [await mat.post("/desks", data=OAK), await mat.post("/desks"), await mat.anonymous().post("/desks")]

    assert [each.status for each in answers] == [400] * 3
    assert [each.json["message"] for each in answers] == ["data.id in body: Required"] * 3
    assert (await mat.post("/desks", data={**OAK, "id": "first"})).status == 201


# Work that is put aside


async def test_what_is_put_aside_is_done_once_for_a_request(mat: Client) -> None:
    answer = await mat.put("/desks/first", data={**OAK, "polish": 3})

    assert [answer.data[f"shine {number}"] for number in range(3)] == ["shining 0", "shining 1", "shining 2"]
    assert SHINING == [0, 1, 2]


async def test_what_is_put_aside_holds_nobody_up(mat: Client) -> None:
    reached, gate = asyncio.Event(), asyncio.Event()
    GATES.append((reached, gate))
    polishing = asyncio.create_task(mat.put("/desks/first", data={**OAK, "polish": 1}))
    await reached.wait()

    assert (await mat.put("/desks/first", data=OAK)).status == 201
    assert (await mat.put("/buckets/b", data={})).status == 201
    gate.set()
    # Everything is decided anew after it: the desk is there by now.
    assert (await polishing).status == 200


async def test_parts_of_a_batch_begin_anew_together(mat: Client) -> None:
    parts = [
        {"method": "PUT", "path": f"/desks/desk{number}", "body": {"data": {**OAK, "polish": number}}}
        for number in range(3)
    ]

    answer = await mat.batch(*parts)

    assert [each["status"] for each in answer.json["responses"]] == [201] * 3
    assert SHINING == [0, 0, 1]


async def test_work_that_fails_is_the_answer(mat: Client) -> None:
    async def fail() -> None:
        raise invalid("body", "data.polish", "no polish left")

    async def prepare(tx: Transaction, target: Target, data: JsonObject, old: Stored | None) -> JsonObject:
        return {**data, "shine": await tx.aside("shine", fail)}

    shelf = Resource(name="shelf", path="/shelves", creators=("system.Everyone",), prepare=prepare)
    async with Client(App(SETTINGS, [shelf])) as client:
        answer = await client.post("/shelves", data={})

    assert (answer.status, answer.json["message"]) == (400, "data.polish in body: no polish left")


async def test_outside_of_requests_nothing_is_put_aside(mat: Client) -> None:
    target = DESK.target("/desks", "first")
    async with mat.app.transaction(target) as tx:
        await objects.write(tx, target, OAK_TO_POLISH, old=None, by=None)

    assert (await mat.get("/desks/first")).data["shine 0"] == "shining 0"
    assert SHINING == [0]


async def test_settings_and_rules_of_ones_own_go_together() -> None:
    """An authorization policy is told what the kind's rules permit."""
    settings = replace(SETTINGS, authorization_policy="tests.policies.for_pyramid.NoDeletions")
    async with Client(App(settings, RESOURCES, plugins=[Plugin(name="desks", resources=[DESK])])) as client:
        assert (await client.put("/desks/first", data=OAK)).status == 201
        assert (await client.patch("/desks/first", data={"a": 1})).status == 200
        assert (await client.anonymous().get("/desks/first")).status == 400
