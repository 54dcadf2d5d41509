"""Quotas: what is counted, what is refused, and by which settings. Source: objects, 12.

The command: test_quotas_rebuilt.py. Several processes: test_quotas_workers.py.
"""

import asyncio
import dataclasses
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.api.sharing import B, C, G, R, create, put, serving
from tests.conftest import SETTINGS

from kobako.app import App
from kobako.plugins.quotas import usage
from kobako.plugins.quotas.usage import OF_BUCKET, OF_COLLECTION, Usage
from kobako.resources import RESOURCES
from kobako.settings import SettingsError, read_settings
from kobako.testing.client import Answer, Client

RECORDS = f"{C}/records"
C_INFO = f"{OF_COLLECTION}c"


def named(limits: dict[str, int]) -> dict[str, str]:
    """Return limits as settings: `bucket_max_items` is `quotas.bucket_max_items`."""
    return {f"quotas.{name}": str(limit) for name, limit in limits.items()}


@asynccontextmanager
async def limited(**limits: int) -> AsyncIterator[Client]:
    """A client of an empty server with these quotas."""
    async with serving(includes=("quotas",), plugin_options=named(limits)) as client:
        yield client


def restarted(client: Client, **limits: int) -> Client:
    """Return a client of a server on the same data, with other quotas."""
    options = {"includes": ("quotas",), "plugin_options": named(limits)}
    app = App(dataclasses.replace(SETTINGS, **options), RESOURCES)  # type: ignore[arg-type]
    app.site = msgspec.structs.replace(app.site, backends=client.app.site.backends)
    return Client(app)


async def counted(client: Client, bucket: str = "b") -> dict[str, Usage]:
    """Return the counters of a bucket."""
    async with client.app.site.backends.begin() as tx:
        return dict(await usage.read(tx.storage, usage.list_of(bucket)))


async def there(client: Client, bucket: str = "b") -> dict[str, Usage]:
    """Return what the counters of a bucket should be."""
    async with client.app.site.backends.begin() as tx:
        return dict(await usage.survey(tx.storage, bucket))


def bytes_of(*answers: Answer) -> int:
    """Return the size of objects, from what was answered when they were stored."""
    return sum(len(json.dumps(each.data, sort_keys=True, separators=(",", ":"))) for each in answers)


def refusal(answer: Answer) -> str:
    """Return why a write was refused for a quota."""
    assert answer.status == 507, answer
    message: str = answer.json["message"]
    assert answer.json == {"code": 507, "errno": 121, "error": "Insufficient Storage", "message": message}
    return message


# The plugin


@pytest.mark.parametrize("name", ["quotas", "kinto.plugins.quotas"])
async def test_hello_tells_of_it_under_each_of_its_names(name: str, tmp_path: Path) -> None:
    ini = tmp_path / "kobako.ini"
    ini.write_text(f"[app:main]\nkinto.includes = {name}\nkinto.storage_backend = kinto.core.storage.memory\n")
    async with Client(App(read_settings(ini, {}), RESOURCES)) as client:
        assert (await client.get("/")).json["capabilities"]["quotas"] == {
            "description": "Quotas Management on buckets and collections.",
            "url": "https://kinto.readthedocs.io",
        }


async def test_the_example_of_the_page_does_what_the_page_says(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs/quotas.md").read_text()
    [lines] = re.findall(r"^```ini\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    ini = tmp_path / "kobako.ini"
    ini.write_text(f"{lines}\nmultiauth.policies = basicauth\nuserid_hmac_secret = abc\nstorage_backend = memory\n")
    async with Client(App(read_settings(ini, {}), RESOURCES)) as client:
        shared = "/buckets/shared"
        await create(client, B, C, shared, f"{shared}/collections/photos", f"{shared}/collections/texts")
        large = {"text": "x" * 200_000}

        uris = (RECORDS, f"{shared}/collections/texts/records", f"{shared}/collections/photos/records")
        assert [(await client.post(uri, data=large)).status for uri in uris] == [507, 507, 201]
        photo = await client.post(uris[2], data={"text": "x" * 1_000_000})
        assert refusal(photo).endswith(" > 1000000 Bytes.")


async def test_without_a_setting_there_is_no_quota() -> None:
    async with limited() as client:
        await create(client, B, C)

        assert (await client.put(R, data={"text": "x" * 10_000})).status == 201


# What is counted


async def test_the_size_of_an_object_is_the_length_of_its_canonical_json() -> None:
    async with limited() as client:
        stored = [
            await client.put(B, data={"z": 1, "a": {"y": [1, 2.5, None], "b": ""}}),
            await client.put(G, data={"members": ["account:ann"]}),
            await client.put(C, data={"schema": {"type": "object"}}),
            await client.put(R, data={"text": 'é ü 漢 \U0001f4e6 " \\ / \n', "é": True}),
        ]

        found = await counted(client)
        assert found[OF_BUCKET].storage_size == bytes_of(*stored)
        assert found[C_INFO].storage_size == bytes_of(*stored[2:])


async def test_what_is_created_updated_and_deleted_is_counted_in_its_bucket_and_collection() -> None:
    async with limited() as client:
        bucket, group = await client.put(B, data={"n": 1}), await client.put(G, data={})
        collection, record = await client.put(C, data={}), await client.put(R, data={"n": 1})
        other = await client.put(f"{B}/collections/d", data={})
        in_c, in_d = bytes_of(collection, record), bytes_of(other)

        assert await counted(client) == {
            OF_BUCKET: Usage(bytes_of(bucket, group) + in_c + in_d, 2, 1),
            C_INFO: Usage(in_c, 1, 1),
            f"{OF_COLLECTION}d": Usage(in_d, 1, 0),
        }

        bucket, group = await client.patch(B, data={"more": "text"}), await client.put(G, data={"members": ["x:y"]})
        collection, record = await client.put(C, data={"a": "b"}), await client.patch(R, data={"n": 123_456})
        posted = await client.post(RECORDS, data={})
        in_c = bytes_of(collection, record, posted)

        assert (await counted(client))[OF_BUCKET] == Usage(bytes_of(bucket, group) + in_c + in_d, 2, 2)
        assert (await counted(client))[C_INFO] == Usage(in_c, 1, 2)

        await client.delete(G)
        await client.delete(R)
        in_c -= bytes_of(record)

        assert (await counted(client))[OF_BUCKET] == Usage(bytes_of(bucket) + in_c + in_d, 2, 1)
        assert (await counted(client))[C_INFO] == Usage(in_c, 1, 1)


async def test_a_tombstone_counts_nothing_nor_do_permissions() -> None:
    async with limited() as client:
        await create(client, B, C, R, f"{RECORDS}/s", f"{RECORDS}/t")
        await client.patch(R, permissions={"read": ["system.Everyone"]})
        await client.delete(f"{RECORDS}?in_id=s,t")

        assert await counted(client) == await there(client)
        assert (await counted(client))[C_INFO].record_count == 1


async def test_the_deletion_of_a_collection_subtracts_its_records() -> None:
    async with limited() as client:
        bucket = await client.put(B, data={})
        await create(client, C, R, f"{RECORDS}/s")
        await client.delete(C)

        assert await counted(client) == {OF_BUCKET: Usage(bytes_of(bucket), 0, 0)}

        collection = await client.put(C, data={})
        assert (await counted(client))[C_INFO] == Usage(bytes_of(collection), 1, 0)
        assert await counted(client) == await there(client)


async def test_what_is_counted_of_a_bucket_disappears_with_it() -> None:
    async with limited() as client:
        await create(client, B, C, R)
        await client.delete(B)
        assert await counted(client) == {}

        bucket = await client.put(B, data={})
        assert await counted(client) == {OF_BUCKET: Usage(bytes_of(bucket), 0, 0)}

        await client.delete("/buckets")
        assert await counted(client) == {}


async def test_what_was_stored_before_the_plugin_was_there_is_not_counted() -> None:
    async with serving() as before:
        await create(before, B, C, R)
        client = restarted(before)
        record = await client.put(f"{RECORDS}/s", data={})

        assert await counted(client) == dict.fromkeys((OF_BUCKET, C_INFO), Usage(bytes_of(record), 0, 1))


BATCHES = {
    "an object written twice": [put(R, n=1), put(R, n=12_345), put(f"{RECORDS}/s")],
    "an object that comes and goes": [put(R, n=1), {"method": "DELETE", "path": R}, put(R, n=22)],
    "a collection that goes": [put(f"{RECORDS}/s"), {"method": "DELETE", "path": C}],
    "a collection that comes again": [put(f"{RECORDS}/s"), {"method": "DELETE", "path": C}, put(C), put(R)],
    "a list of collections that goes": [{"method": "DELETE", "path": f"{B}/collections"}, put(C), put(R)],
    "a bucket that goes": [put(R), {"method": "DELETE", "path": B}],
    "a bucket that comes again": [put(f"{B}/collections/d"), {"method": "DELETE", "path": B}, put(B), put(C), put(R)],
    "several buckets": [put("/buckets/z"), put("/buckets/a"), put("/buckets/a/collections/c"), put(f"{RECORDS}/s")],
    "a part that is refused": [put(f"{RECORDS}/s"), put(f"{RECORDS}/s", last_modified=9 * 10**12), put(R, n=333)],
}


@pytest.mark.parametrize("batch", BATCHES.values(), ids=BATCHES.keys())
async def test_a_batch_is_counted_exactly(batch: Any) -> None:
    async with limited() as client:
        await create(client, B, C, R, G)
        answer = await client.batch(*batch)

        assert answer.status == 200, answer
        for bucket in ("a", "b", "z"):
            assert await counted(client, bucket) == await there(client, bucket)


async def test_a_write_that_changes_no_size_does_not_wait_for_the_counters() -> None:
    async with limited() as client:
        await create(client, B, C)
        await client.put(R, data={"n": 1})
        async with client.app.site.backends.begin() as tx:
            before = await tx.storage.timestamp(usage.list_of("b"))
        await client.put(R, data={"n": 2})
        async with client.app.site.backends.begin() as tx:
            assert await tx.storage.timestamp(usage.list_of("b")) == before


# What is refused


async def sizes(client: Client) -> tuple[int, int, int]:
    """Create a bucket, a collection and a record; return the size of each."""
    return (
        bytes_of(await client.put(B, data={})),
        bytes_of(await client.put(C, data={})),
        bytes_of(await client.put(R, data={"n": 1})),
    )


async def test_what_exceeds_is_refused_with_the_sizes_it_would_have_made() -> None:
    async with limited() as first:
        bucket, collection, record = await sizes(first)
        total, held = bucket + collection + record, collection + record
        new = f"{RECORDS}/s"
        refused = {
            "bucket_max_bytes": f"Bucket maximum total size exceeded ({total + record} > {total} Bytes). ",
            "bucket_max_items": "Bucket maximum number of objects exceeded (2 > 1 objects).",
            "collection_max_bytes": f"Collection maximum size exceeded ({held + record} > {held} Bytes).",
            "collection_max_items": "Collection maximum number of objects exceeded (2 > 1 objects).",
        }
        limits = {"bucket_max_bytes": total, "collection_max_bytes": held}
        for name, message in refused.items():
            client = restarted(first, **{name: limits.get(name, 1)})
            assert refusal(await client.put(new, data={"n": 1})) == message
            assert (await client.get(new)).status == 404
            assert (await client.put(R, data={"n": 2})).status == 200
        assert await counted(first) == await there(first)


async def test_an_object_that_is_too_large_is_refused_and_never_kept_from_going() -> None:
    async with limited() as first:
        _, _, record = await sizes(first)
        client = restarted(first, bucket_max_bytes_per_item=record)

        assert (await client.put(R, data={"n": 2})).status == 200
        for uri in (R, f"{RECORDS}/s", G, B):
            said = refusal(await client.put(uri, data={"members": ["x" * 10], "n": "y" * 100}))
            assert said.startswith("Maximum bytes per object exceeded")
            assert said.endswith(f" > {record} Bytes.")
        assert (await restarted(first, bucket_max_bytes_per_item=1).delete(R)).status == 200


async def test_of_several_reasons_the_first_is_told() -> None:
    async with limited() as first:
        await sizes(first)
        order = {
            "collection_max_bytes_per_item": "Maximum bytes per object",
            "bucket_max_bytes": "Bucket maximum total size",
            "bucket_max_items": "Bucket maximum number",
            "collection_max_bytes": "Collection maximum size",
            "collection_max_items": "Collection maximum number",
        }
        while order:
            client = restarted(first, **dict.fromkeys(order, 1))
            said = refusal(await client.put(f"{RECORDS}/s", data={}))
            assert said.startswith(order.pop(next(iter(order))))


async def test_a_batch_with_a_write_that_exceeds_is_undone_as_a_whole() -> None:
    async with limited(collection_max_items=2) as client:
        await create(client, B, C, R)
        answer = await client.batch(put("/buckets/other"), put(f"{RECORDS}/s"), put(f"{RECORDS}/t"))

        assert refusal(answer) == "Collection maximum number of objects exceeded (3 > 2 objects)."
        assert len((await client.get(RECORDS)).data) == 1
        assert [each["id"] for each in (await client.get("/buckets")).data] == ["b"]
        assert await counted(client) == await there(client)


async def test_what_a_batch_leaves_is_what_counts() -> None:
    async with limited(collection_max_items=1) as client:
        await create(client, B, C, R)

        assert (await client.batch(put(f"{RECORDS}/s"), {"method": "DELETE", "path": R})).status == 200


async def test_below_a_lowered_quota_deletions_and_what_adds_nothing_are_allowed() -> None:
    async with limited() as first:
        await create(first, B, C, G, *(f"{RECORDS}/r{n}" for n in range(5)))
        low = dict.fromkeys(("bucket_max_bytes", "collection_max_bytes", "bucket_max_items", "collection_max_items"), 1)
        client = restarted(first, **low)

        answers = [
            await client.put(f"{RECORDS}/r0", data={}),
            await client.delete(f"{RECORDS}/r0"),
            await client.delete(G),
            await client.delete(f"{RECORDS}?id=r1"),
            await client.batch({"method": "DELETE", "path": f"{RECORDS}/r2"}, put(f"{RECORDS}/r3")),
            await client.delete(C),
            await client.delete(B),
        ]

        assert [each.status for each in answers] == [200] * 7


async def test_items_are_records_only() -> None:
    async with limited(bucket_max_items=0, collection_max_items=0) as client:
        await create(client, B, C, G, f"{B}/collections/d")

        assert refusal(await client.put(R, data={})) == "Bucket maximum number of objects exceeded (1 > 0 objects)."


async def test_groups_are_not_subject_to_the_limits_of_collections() -> None:
    async with limited(collection_max_bytes=1, collection_max_bytes_per_item=1) as client:
        await create(client, B, G)


async def test_a_request_sent_again_after_it_was_refused_is_refused_until_there_is_room() -> None:
    async with limited(collection_max_items=1) as client:
        await create(client, B, C, R)
        key = {"Idempotency-Key": "k"}
        refusal(await client.put(f"{RECORDS}/s", data={}, headers=key))
        await client.delete(R)

        assert (await client.put(f"{RECORDS}/s", data={}, headers=key)).status == 201
        assert await counted(client) == await there(client)


# At the limit, all at once

WRITERS = 50
ROOM = 30


async def race(client: Client, collections: int, **data: Any) -> list[Answer]:
    """Return the answers to writers that create a record each, all at once, over so many collections."""
    uris = [f"{B}/collections/c{n % collections}/records/r{n:02}" for n in range(WRITERS)]
    return await asyncio.gather(*(client.put(uri, data=data) for uri in uris))


@pytest.mark.parametrize("collections", [1, 5])
@pytest.mark.parametrize("limit", ["max_items", "max_bytes"])
async def test_parallel_writers_get_exactly_to_the_limit(limit: str, collections: int) -> None:
    async with limited() as first:
        await create(first, B, *(f"{B}/collections/c{n}" for n in range(collections)))
        begin = (await counted(first))[OF_BUCKET].storage_size
        one = bytes_of(await first.put(f"{B}/collections/c0/records/r99", data={"n": 1}))
        await first.delete(f"{B}/collections/c0/records/r99")
        # One byte less would be room for one record less.
        client = restarted(first, **{f"bucket_{limit}": ROOM if limit == "max_items" else begin + ROOM * one})
        answers = await race(client, collections, n=1)

        statuses = [each.status for each in answers]
        assert {status: statuses.count(status) for status in set(statuses)} == {201: ROOM, 507: WRITERS - ROOM}
        assert await counted(first) == await there(first)
        assert (await counted(first))[OF_BUCKET] == Usage(begin + ROOM * one, collections, ROOM)


async def test_parallel_creations_and_deletions_are_all_counted() -> None:
    async with limited(bucket_max_items=WRITERS) as client:
        await create(client, B, C)
        await race(client, 1)
        for _ in range(2):
            answers = await asyncio.gather(
                *(client.delete(f"{RECORDS}/r{n:02}") if n % 2 else client.put(f"{RECORDS}/r{n:02}", data={"n": n})
                  for n in range(WRITERS))
            )  # fmt: skip
            assert {each.status for each in answers} <= {200, 201, 404}
        assert await counted(client) == await there(client)


# Settings (12.1)


@pytest.mark.parametrize(
    ("limits", "most"),
    [
        pytest.param({"bucket_max_items": 1, "bucket_b_max_items": 2}, 2, id="a bucket's own"),
        pytest.param({"bucket_max_items": 1, "bucket_other_max_items": 2}, 1, id="that of all buckets"),
        pytest.param(
            {"collection_max_items": 1, "collection_b_max_items": 2, "collection_b_c_max_items": 3},
            3,
            id="a collection's own",
        ),
        pytest.param({"collection_max_items": 1, "collection_b_max_items": 2}, 2, id="that of a bucket's collections"),
        pytest.param({"collection_max_items": 1, "collection_b_d_max_items": 2}, 1, id="that of all collections"),
        pytest.param({"bucket_max_items": 3, "collection_max_items": 2}, 2, id="the bucket's and the collection's"),
        pytest.param({"bucket_b_max_items": 0, "bucket_max_items": 2}, 0, id="none at all"),
    ],
)
async def test_the_first_setting_that_exists_counts(limits: dict[str, int], most: int) -> None:
    async with limited(**limits) as client:
        await create(client, B, C)
        answers = [await client.post(RECORDS, data={}) for _ in range(4)]

        assert [each.status for each in answers] == [201] * most + [507] * (4 - most)


async def test_the_limit_of_an_object_in_a_collection_replaces_the_buckets() -> None:
    async with limited(bucket_max_bytes_per_item=60, collection_b_c_max_bytes_per_item=200) as client:
        await create(client, B, C, f"{B}/collections/d")

        large = {"text": "x" * 60}
        assert (await client.put(R, data=large)).status == 201
        assert (await client.put(f"{B}/collections/d/records/r", data=large)).status == 507
        assert (await client.put(G, data=large)).status == 507


async def test_quotas_come_from_the_environment_too(tmp_path: Path) -> None:
    ini = tmp_path / "kobako.ini"
    ini.write_text("[app:main]\nkobako.includes = quotas\nmultiauth.policies = basicauth\nquotas.bucket_max_items = 5\n"
                   "userid_hmac_secret = abc\nkobako.storage_backend = memory\n")  # fmt: skip
    settings = read_settings(ini, {"KOBAKO_QUOTAS_BUCKET_B_MAX_ITEMS": "0"})
    async with Client(App(settings, RESOURCES)) as client:
        await create(client, B, C)

        refusal(await client.put(R, data={}))


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("quotas.bucket_max_item", "1", "Unknown setting 'quotas.bucket_max_item': there is quotas.bucket_"),
        ("quotas.record_max_bytes", "1", "Unknown setting 'quotas.record_max_bytes': "),
        ("quotas.bucket_max_bytes", "10 MB", "Setting 'quotas.bucket_max_bytes' is '10 MB': must be a whole number."),
        ("quotas.bucket_b_max_items", "-1", "Setting 'quotas.bucket_b_max_items' is '-1': no quota is less than 0."),
        ("QUOTAS_BUCKET_B_MAX_ITEMS", "x", "Setting 'QUOTAS_BUCKET_B_MAX_ITEMS' is 'x': must be a whole number."),
    ],
)
def test_a_setting_that_makes_no_sense_stops_the_start(name: str, value: str, problem: str) -> None:
    settings = dataclasses.replace(SETTINGS, includes=("quotas",), plugin_options={name: value})

    with pytest.raises(SettingsError) as refused:
        App(settings, RESOURCES)

    assert str(refused.value).startswith(problem)
