"""Attachments of records in a folder (objects, 17.1, 17.2, 17.4 to 17.6; reliability, A5, A8 and A10)."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.plugins.attachments.sending import BOUNDARY, RECORD, URL, file, form, stored, text, upload

from kobako import App, BadRequest, Forbidden, Listener, ObjectsChanged, Request, Settings, Transaction, resources
from kobako.resources import RESOURCES
from kobako.testing.client import Client


async def test_a_file_makes_a_record_that_tells_of_it(client: Client, folder: Path) -> None:
    response = await upload(client, file("photo.JPG", b"123", "text/html"))

    assert response.status == 201
    about = response.json
    [(path, content)] = stored(folder).items()
    assert about == {
        "filename": "photo.JPG",
        "location": path,
        "hash": hashlib.sha256(b"123").hexdigest(),
        "mimetype": "image/jpeg",
        "size": 3,
    }
    assert (path[:4], path[-4:], content) == ("b/c/", ".jpg", b"123")
    record = await client.get(RECORD)
    assert record.data["attachment"] == about
    assert response.headers["Location"] == f"http://localhost/v1{RECORD}"
    assert response.etag == record.data["last_modified"]
    assert len(record.json["permissions"]["write"]) == 1


async def test_a_file_is_put_into_a_record_that_is_there(client: Client) -> None:
    await client.put(RECORD, {"title": "old", "size": 1}, {"read": ["system.Everyone"]})

    parts = [file(), text("data", {"title": "new"}), text("permissions", {"write": ["account:bob"]})]
    response = await upload(client, *parts)

    assert response.status == 200
    record = await client.get(RECORD)
    assert (record.data["title"], record.data["size"]) == ("new", 1)
    assert record.json["permissions"]["read"] == ["system.Everyone"]
    assert "account:bob" in record.json["permissions"]["write"]


async def test_parts_come_in_any_order_and_parameters_are_ignored(client: Client) -> None:
    parts = [text("permissions", {"read": ["account:bob"]}), file(), text("data", {"a": 1})]
    response = await upload(client, *parts, url=f"{URL}?gzipped=true")

    assert response.status == 201
    assert (await client.get(RECORD)).data["a"] == 1


async def test_a_new_file_takes_the_place_of_the_old_one(client: Client, folder: Path) -> None:
    await upload(client, file(content=b"old"))
    await upload(client, file(content=b"new"))

    assert list(stored(folder).values()) == [b"new"]


async def test_all_rules_of_records_hold(settings: Settings, folder: Path) -> None:
    settings = replace(settings, experimental_collection_schema_validation=True)
    async with Client(App(settings, resources.chosen(settings))) as client:
        await client.put("/buckets/b")
        schema = {"type": "object", "required": ["title"], "properties": {"title": {"type": "string"}}}
        collection = await client.put("/buckets/b/collections/c", {"schema": schema})

        refused = await upload(client, file(), text("data", {"title": 1}))
        accepted = await upload(client, file(), text("data", {"title": "a"}))
        emptied = await client.delete(URL)

        assert (refused.status, refused.json["errno"]) == (400, 107)
        assert accepted.status == 201
        assert emptied.status == 204
        assert (await client.get(RECORD)).data["schema"] == collection.data["last_modified"]


@pytest.mark.parametrize(
    ("url", "status", "errno"),
    [
        ("/buckets/b/collections/other/records/r/attachment", 404, 111),
        ("/buckets/other/collections/c/records/r/attachment", 404, 111),
        ("/buckets/b/collections/c/records/a b/attachment", 400, 107),
        ("/buckets/b/collections/c/records/r/attachments/a.b", 400, 107),
    ],
)
async def test_a_record_has_to_be_possible(client: Client, folder: Path, url: str, status: int, errno: int) -> None:
    response = await upload(client, url=url)

    assert (response.status, response.json["errno"]) == (status, errno)
    assert stored(folder) == {}


async def test_an_upload_needs_write_on_the_record_or_to_create_it(client: Client, folder: Path) -> None:
    """A10."""
    bob = client.as_user("bob")
    user = (await bob.get("/")).json["user"]["id"]
    await client.put("/buckets/b/collections/c", permissions={"record:create": [user]})
    await client.put(f"{RECORD}1", permissions={"read": [user]})
    await client.put(f"{RECORD}2", permissions={"write": [user]})

    assert (await upload(client.anonymous())).status == 401
    assert (await upload(client.as_user("eve"))).status == 403
    assert (await upload(bob, url=f"{RECORD}1/attachment")).status == 403
    assert (await bob.delete(f"{RECORD}1/attachment")).status == 403
    assert stored(folder) == {}
    assert (await upload(bob, url=f"{RECORD}2/attachment")).status == 200
    assert (await upload(bob)).status == 201


async def test_who_may_not_is_told_before_the_body_is_read(client: Client) -> None:
    async def body() -> AsyncIterator[bytes]:
        raise AssertionError("the body was read")
        yield b""

    for headers, status in (({}, 401), (client.as_user("eve").headers, 403)):
        request = Request(method="POST", path=f"/v1{URL}", headers=headers, stream=body())
        assert (await client.app.answer(request)).status == status


async def test_rights_that_are_lost_meanwhile_leave_no_file(client: Client, folder: Path) -> None:
    bob = client.as_user("bob")
    user = (await bob.get("/")).json["user"]["id"]
    await client.put(RECORD, permissions={"write": [user]})

    async def body() -> AsyncIterator[bytes]:
        sent = form([file()])
        yield sent[:-20]
        await client.patch(RECORD, permissions={"write": []})
        yield sent[-20:]

    headers = {**bob.headers, "content-type": f"multipart/form-data; boundary={BOUNDARY}"}
    response = await client.app.answer(Request(method="POST", path=f"/v1{URL}", headers=headers, stream=body()))

    assert response.status == 403
    assert stored(folder) == {}


async def test_a_collection_that_is_deleted_meanwhile_gets_no_file(client: Client, folder: Path) -> None:
    """C9."""

    async def body() -> AsyncIterator[bytes]:
        await client.delete("/buckets/b/collections/c")
        yield form([file()])

    headers = {**client.headers, "content-type": f"multipart/form-data; boundary={BOUNDARY}"}
    response = await client.app.answer(Request(method="POST", path=f"/v1{URL}", headers=headers, stream=body()))

    assert response.status == 404
    assert stored(folder) == {}


async def test_a_body_that_breaks_off_leaves_nothing(client: Client, folder: Path) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield form([file(content=b"x" * 100_000)])[:60_000]
        raise BadRequest("The body cannot be read to its end.")

    headers = {**client.headers, "content-type": f"multipart/form-data; boundary={BOUNDARY}"}
    response = await client.app.answer(Request(method="POST", path=f"/v1{URL}", headers=headers, stream=body()))

    assert response.status == 400
    assert stored(folder) == {}
    assert (await client.get(RECORD)).status == 404


async def test_preconditions_play_no_part(client: Client) -> None:
    await client.put(RECORD)

    assert (await upload(client, headers={"If-Match": '"1"'})).status == 200


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "HEAD"])
async def test_the_endpoint_has_two_methods(client: Client, method: str) -> None:
    response = await client.request(method, URL)

    assert (response.status, response.headers["Allow"]) == (405, "POST, DELETE, OPTIONS")


async def test_a_readonly_server_takes_and_removes_no_file(client: Client, settings: Settings) -> None:
    """P19."""
    async with Client(App(replace(settings, readonly=True), RESOURCES)) as other:
        assert (await upload(other)).status == 405
        assert (await other.delete(URL)).status == 405
        assert (await other.get("/__heartbeat__")).json["attachments"] is True


async def test_listeners_hear_of_one_change_of_the_record(settings: Settings) -> None:
    told: list[tuple[str, str]] = []
    note = Listener(lambda tx, event: told.append((event.action, event.uri)), after_commit=True)
    async with Client(App(settings, RESOURCES, listeners=[note])) as client:
        await client.put("/buckets/b")
        await client.put("/buckets/b/collections/c")
        told.clear()
        await upload(client)
        await upload(client)
        await client.delete(URL)

    assert told == [("create", RECORD), ("update", RECORD), ("update", RECORD)]


async def test_a_listener_that_refuses_leaves_the_old_file(settings: Settings, folder: Path) -> None:
    """A5."""
    refusing: list[bool] = []

    def refuse(tx: Transaction, event: ObjectsChanged) -> None:
        if refusing:
            raise Forbidden("no")

    async with Client(App(settings, RESOURCES, listeners=[Listener(refuse, resources=["record"])])) as client:
        await client.put("/buckets/b")
        await client.put("/buckets/b/collections/c")
        await upload(client, file(content=b"old"))
        refusing.append(True)

        assert (await upload(client, file(content=b"new"))).status == 403
        assert (await client.delete(URL)).status == 403
        assert (await client.delete(RECORD)).status == 403
        assert list(stored(folder).values()) == [b"old"]


# Deletion


async def test_a_deleted_attachment_leaves_null(client: Client, folder: Path) -> None:
    await upload(client, file(), text("data", {"title": "a"}))

    response = await client.delete(URL)

    assert (response.status, response.body) == (204, b"")
    record = (await client.get(RECORD)).data
    assert (record["attachment"], record["title"]) == (None, "a")
    assert stored(folder) == {}
    assert (await upload(client)).status == 200


async def test_an_unknown_record_has_no_attachment_to_delete(client: Client) -> None:
    response = await client.delete(URL)

    assert (response.status, response.json["errno"]) == (404, 110)
    assert (await client.get(RECORD)).status == 404
    assert (await client.as_user("eve").delete(URL)).status == 403


async def test_a_deletion_is_part_of_a_batch_and_undone_with_it(client: Client, folder: Path) -> None:
    await upload(client)
    delete = {"method": "DELETE", "path": URL}

    failed = await client.batch(delete, {"method": "PUT", "path": "/buckets/b/collections/c/records/a b"}, atomic=True)
    assert failed.status == 400
    assert len(stored(folder)) == 1

    assert (await client.batch(delete)).json["responses"][0]["status"] == 204
    assert stored(folder) == {}


# What records say of their files


@pytest.mark.parametrize("change", [{"size": 6}, {"location": "../other"}, {"filename": "b"}, {"new": 1}])
async def test_what_a_record_says_of_its_file_stays_as_it_is(client: Client, change: dict[str, Any]) -> None:
    about = {**(await upload(client)).json, **change}

    for response in (
        await client.patch(RECORD, {"attachment": about}),
        await client.put(RECORD, {"attachment": about}),
        (await client.batch({"method": "PUT", "path": RECORD, "body": {"data": {"attachment": about}}}, atomic=True)),
    ):
        assert (response.status, response.json["errno"]) == (400, 999)
        assert response.json["message"] == "Attachment metadata cannot be modified."


async def test_what_changes_nothing_of_it_is_allowed(client: Client) -> None:
    forged = {"location": "/etc/passwd", "hash": "x"}
    assert (await client.put(f"{RECORD}1", {"attachment": forged})).status == 201
    about = (await upload(client)).json

    assert (await client.patch(RECORD, {"attachment": about, "title": "a"})).status == 200
    assert (await client.patch(RECORD, {"attachment": None})).status == 200
    assert (await client.put(RECORD, {"attachment": about})).status == 200
    assert (await client.put(RECORD, {"title": "a"})).status == 200


async def test_a_forged_attachment_leads_to_no_file(client: Client, folder: Path) -> None:
    about = (await upload(client)).json
    await client.put(f"{RECORD}2", {"attachment": about, "attachments": {"x": about}})

    assert (await client.get(f"{RECORD}2/attachments/attachment")).status == 404
    assert (await client.get(f"{RECORD}2/attachments/x")).status == 404
    await client.delete(f"{RECORD}2/attachment")
    await client.delete(f"{RECORD}2")
    assert len(stored(folder)) == 1


# Several of one record


async def test_a_record_may_have_several_files(client: Client, folder: Path) -> None:
    first = await upload(client, file("a.txt", b"1"), text("data", {"title": "t"}), url=f"{RECORD}/attachments/front")
    second = await upload(client, file("b.txt", b"2"), url=f"{RECORD}/attachments/back")
    third = await upload(client, file("c.txt", b"3"))

    assert [each.status for each in (first, second, third)] == [201, 200, 200]
    record = (await client.get(RECORD)).data
    assert record["attachments"] == {"front": first.json, "back": second.json}
    assert (record["attachment"], record["title"]) == (third.json, "t")

    await upload(client, file("d.txt", b"4"), url=f"{RECORD}/attachments/front")
    assert sorted(stored(folder).values()) == [b"2", b"3", b"4"]

    assert (await client.delete(f"{RECORD}/attachments/front")).status == 204
    assert list((await client.get(RECORD)).data["attachments"]) == ["back"]
    assert (await client.delete(f"{RECORD}/attachments/front")).status == 404
    assert (await client.delete(f"{RECORD}/attachments/attachment")).status == 204
    assert (await client.get(RECORD)).data["attachment"] is None

    await client.delete(RECORD)
    assert stored(folder) == {}


async def test_what_is_said_of_several_files_stays_as_it_is(client: Client) -> None:
    about = (await upload(client, url=f"{RECORD}/attachments/a")).json

    assert (await client.patch(RECORD, {"attachments": {"a": {**about, "size": 1}}})).json["errno"] == 999
    assert (await client.patch(RECORD, {"attachments": {"a": about, "b": {"mine": 1}}})).status == 200
    assert (await client.patch(RECORD, {"attachments": {"a": about, "b": {"mine": 2}}})).status == 200
    assert (await client.put(RECORD, {"attachments": "mine"})).status == 200
    assert (await upload(client, url=f"{RECORD}/attachments/a")).status == 400


async def test_two_uploads_at_once_leave_one_file_that_the_record_tells_of(client: Client, folder: Path) -> None:
    """A8."""
    contents = [str(each).encode() * 1000 for each in range(8)]

    answers = await asyncio.gather(*(upload(client, file(content=each)) for each in contents))

    assert sorted(each.status for each in answers) == [200] * 7 + [201]
    [(path, content)] = stored(folder).items()
    about = (await client.get(RECORD)).data["attachment"]
    assert (about["location"], about["hash"]) == (path, hashlib.sha256(content).hexdigest())
