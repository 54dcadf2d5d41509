"""Files go with what they are in, once it is gone for good (objects, 17.6; reliability, A5 and A10)."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.plugins.attachments.sending import file, stored, upload

from kobako.testing.client import Client

C, D = "/buckets/b/collections/c", "/buckets/b/collections/d"
OTHER = "/buckets/bb/collections/c"
RECORDS = [f"{C}/records/r1", f"{C}/records/r2", f"{D}/records/r1", f"{OTHER}/records/r1"]


@pytest.fixture
async def attached(client: Client) -> None:
    """Two files in one collection, one in another of its bucket, one in another bucket; named after them."""
    await client.put("/buckets/bb")
    await client.put(D)
    await client.put(OTHER)
    for each in RECORDS:
        await upload(client, file(content=each.encode()), url=f"{each}/attachment")


@pytest.mark.usefixtures("attached")
@pytest.mark.parametrize(
    ("deleted", "left"),
    [
        pytest.param([f"{C}/records/r1"], RECORDS[1:], id="a record"),
        pytest.param([f"{C}/records"], RECORDS[2:], id="the records of a collection"),
        pytest.param([f"{C}/records?attachment.size=35"], RECORDS[2:], id="records that are selected"),
        pytest.param([C], RECORDS[2:], id="a collection"),
        pytest.param(["/buckets/b/collections"], RECORDS[3:], id="all collections of a bucket"),
        pytest.param(["/buckets/b"], RECORDS[3:], id="a bucket"),
        pytest.param(["/buckets"], [], id="all buckets"),
        pytest.param([f"{C}/records/r2", D, f"{OTHER}/records"], RECORDS[:1], id="a batch"),
    ],
)
async def test_files_go_with_all_that_is_deleted(
    client: Client, folder: Path, deleted: Sequence[str], left: Sequence[str]
) -> None:
    answers = await client.batch(*({"method": "DELETE", "path": each} for each in deleted))

    assert {each["status"] for each in answers.json["responses"]} == {200}
    assert sorted(stored(folder).values()) == sorted(each.encode() for each in left)


@pytest.mark.usefixtures("attached")
async def test_what_is_made_again_has_no_file_of_its_former_life(client: Client, folder: Path) -> None:
    await client.delete("/buckets/b")
    await client.put("/buckets/b")
    await client.put(C)
    await client.put(RECORDS[0])

    assert (await client.get(f"{RECORDS[0]}/attachments/attachment")).status == 404
    assert (await upload(client, url=f"{RECORDS[0]}/attachment")).status == 200
    await client.delete(RECORDS[0])
    assert list(stored(folder).values()) == [RECORDS[3].encode()]


@pytest.mark.usefixtures("attached")
async def test_a_deletion_that_is_undone_leaves_the_files(client: Client, folder: Path) -> None:
    """A5."""
    refused = {"method": "PUT", "path": "/buckets/a b"}

    answer = await client.batch({"method": "DELETE", "path": "/buckets/b"}, refused, atomic=True)

    assert answer.status == 400
    assert len(stored(folder)) == 4
    assert (await client.get(f"{RECORDS[0]}/attachments/attachment")).body == RECORDS[0].encode()


@pytest.mark.usefixtures("attached")
async def test_a_record_that_hides_its_file_still_takes_it_along(client: Client, folder: Path) -> None:
    await client.put(RECORDS[0], {})

    await client.delete(RECORDS[0])

    assert len(stored(folder)) == 3


@pytest.mark.usefixtures("attached")
@pytest.mark.parametrize("options", [{"resources.b.keep_old_files": "true"}])
@pytest.mark.parametrize("deleted", [RECORDS[0], f"{C}/records", C, "/buckets/b"])
async def test_files_that_are_to_be_kept_stay_and_are_nobodys(client: Client, folder: Path, deleted: str) -> None:
    await upload(client, file(content=b"new"), url=f"{RECORDS[0]}/attachment")
    await client.delete(deleted)
    await client.delete("/buckets/bb")

    assert sorted(stored(folder).values()) == sorted([b"new", *(each.encode() for each in RECORDS[:3])])
    await client.put("/buckets/b")
    await client.put(C)
    await client.put(RECORDS[0])
    assert (await client.get(f"{RECORDS[0]}/attachments/attachment")).status == 404


@pytest.mark.usefixtures("attached")
async def test_without_files_nothing_is_looked_for(client: Client, folder: Path) -> None:
    await client.put("/buckets/empty")
    await client.put("/buckets/empty/collections/c")
    await client.put("/buckets/empty/collections/c/records/r")

    for url in ("/buckets/empty/collections/c/records/r", "/buckets/empty/collections/c", "/buckets/empty"):
        assert (await client.delete(url)).status == 200
    assert len(stored(folder)) == 4
