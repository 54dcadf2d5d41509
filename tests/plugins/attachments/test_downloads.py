"""Files for those who may read their records, whole or in ranges, and for whom they give a signed URL to."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.plugins.attachments.sending import RECORD, file, stored, upload

from kobako.app import App
from kobako.resources import RESOURCES
from kobako.settings import Settings
from kobako.testing.client import Client

FILE = f"{RECORD}/attachments/attachment"
CONTENT = b"0123456789"


class Clock:
    now = 1_800_000_000_000

    def __call__(self) -> int:
        return self.now


@pytest.fixture(autouse=True)
def backend() -> str:
    """Databases play no part in this."""
    return "memory"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def client(settings: Settings, clock: Clock) -> AsyncIterator[Client]:
    async with Client(App(settings, RESOURCES, clock=clock)) as client:
        await client.put("/buckets/b")
        await client.put("/buckets/b/collections/c")
        await upload(client, file("a.txt", CONTENT))
        yield client


async def test_a_file_is_sent_as_what_it_is_and_never_as_a_page(client: Client) -> None:
    """A2."""
    response = await client.get(FILE)

    assert (response.status, response.body) == (200, CONTENT)
    about = (await client.get(RECORD)).data["attachment"]
    assert response.headers["ETag"] == f'"{about["hash"]}"'
    assert response.headers["Content-Type"] == "text/plain"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Content-Disposition"] == "attachment; filename=\"a.txt\"; filename*=UTF-8''a.txt"
    assert response.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert response.headers["Cache-Control"] == "private, no-cache"
    assert response.headers["Accept-Ranges"] == "bytes"


@pytest.mark.parametrize(
    ("name", "kind", "sent"),
    [
        ("a.svg", "image/svg+xml", "image/svg+xml"),
        ("a.txt", "text/html", "text/plain"),
        ("a.json", "text/html", "application/json"),
        ("a.gnumeric", "text/html", "application/octet-stream"),
    ],
)
async def test_the_type_is_never_what_the_sender_said(client: Client, name: str, kind: str, sent: str) -> None:
    """A2."""
    await upload(client, file(name, b"{}", kind))

    assert (await client.get(FILE)).headers["Content-Type"] == sent


@pytest.mark.parametrize(
    ("header", "content", "told"),
    [
        ("bytes=2-4", b"234", "bytes 2-4/10"),
        ("bytes=7-", b"789", "bytes 7-9/10"),
        ("bytes=-3", b"789", "bytes 7-9/10"),
        ("bytes=-30", CONTENT, "bytes 0-9/10"),
        ("bytes=5-500", b"56789", "bytes 5-9/10"),
        ("bytes=0-0", b"0", "bytes 0-0/10"),
    ],
)
async def test_a_range_is_sent(client: Client, header: str, content: bytes, told: str) -> None:
    response = await client.get(FILE, headers={"Range": header})

    assert (response.status, response.body, response.headers["Content-Range"]) == (206, content, told)


@pytest.mark.parametrize(
    "header",
    ["bytes=9-1", "bytes=-", "bytes", "items=0-1", "bytes=a-b", "bytes=0-1,3-4", "bytes=" + ",".join(["0-1"] * 1000)],
)
async def test_what_is_no_single_range_is_all_of_it(client: Client, header: str) -> None:
    """A7."""
    response = await client.get(FILE, headers={"Range": header})

    assert (response.status, response.body) == (200, CONTENT)
    assert "Content-Range" not in response.headers


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=99999999999999999-", "bytes=-0"])
async def test_a_range_behind_the_end_is_a_416(client: Client, header: str) -> None:
    """A7."""
    response = await client.get(FILE, headers={"Range": header})

    assert (response.status, response.headers["Content-Range"]) == (416, "bytes */10")


async def test_a_range_is_of_the_version_that_is_known_or_all(client: Client) -> None:
    etag = (await client.head(FILE)).headers["ETag"]

    known = await client.get(FILE, headers={"Range": "bytes=0-1", "If-Range": etag})
    changed = await client.get(FILE, headers={"Range": "bytes=0-1", "If-Range": '"other"'})

    assert (known.status, changed.status, changed.body) == (206, 200, CONTENT)


async def test_who_has_the_file_is_told_so(client: Client) -> None:
    etag = (await client.head(FILE)).headers["ETag"]

    for known in (etag, f'"other", W/{etag}', "*"):
        response = await client.get(FILE, headers={"If-None-Match": known})
        assert (response.status, response.body, response.headers["ETag"]) == (304, b"", etag)
    assert (await client.get(FILE, headers={"If-None-Match": '"other"'})).status == 200


async def test_head_tells_the_length(client: Client) -> None:
    whole = await client.head(FILE)
    part = await client.head(FILE, headers={"Range": "bytes=1-3"})

    assert (whole.status, whole.headers["Content-Length"], whole.body) == (200, "10", b"")
    assert (part.status, part.headers["Content-Length"]) == (206, "3")


async def test_an_empty_file_is_a_file(client: Client) -> None:
    await upload(client, file("a.txt", b""))

    response = await client.get(FILE)

    assert (response.status, response.body) == (200, b"")
    assert (await client.get(FILE, headers={"Range": "bytes=0-"})).status == 416


async def test_a_file_of_several_reads_is_put_together(client: Client) -> None:
    content = bytes(range(256)) * 10_000
    await upload(client, file("a.txt", content))

    assert (await client.get(FILE)).body == content
    assert (await client.get(FILE, headers={"Range": "bytes=1000000-2000000"})).body == content[1_000_000:2_000_001]


async def test_who_may_read_the_record_may_read_its_file(client: Client) -> None:
    """Promise 4."""
    bob = client.as_user("bob")
    user = (await bob.get("/")).json["user"]["id"]
    assert (await client.anonymous().get(FILE)).status == 401
    assert (await bob.get(FILE)).status == 403
    assert (await bob.get(f"{FILE}/url")).status == 403

    await client.patch(RECORD, permissions={"read": [user]})

    assert (await bob.get(FILE)).body == CONTENT
    assert (await bob.get(f"{FILE}/url")).status == 200


@pytest.mark.parametrize("url", [f"{RECORD}2/attachments/attachment", f"{RECORD}/attachments/b"])
async def test_what_is_not_there_is_a_404(client: Client, url: str) -> None:
    response = await client.get(url)

    assert (response.status, response.json["errno"]) == (404, 110)
    assert (await client.as_user("bob").get(url)).status == 403


async def test_a_file_that_somebody_removed_is_a_404(client: Client, folder: Path) -> None:
    for path in stored(folder):
        (folder / path).unlink()

    assert (await client.get(FILE)).status == 404


# Signed URLs


async def test_a_signed_url_opens_one_file_for_a_while(client: Client, clock: Clock) -> None:
    signed = (await client.get(f"{FILE}/url?seconds=60")).data
    assert signed["expires"] == clock.now + 60_000
    anybody = client.anonymous()

    assert (await anybody.get(signed["url"])).body == CONTENT
    assert (await anybody.head(signed["url"])).status == 200
    assert (await anybody.request("DELETE", signed["url"])).status == 401

    clock.now += 61_000
    late = await anybody.get(signed["url"])
    assert (late.status, late.json["message"]) == (403, "The signature of the URL is not of this file, or has expired.")


async def test_a_signed_url_is_of_one_file_only(client: Client) -> None:
    await upload(client, file("b.txt"), url=f"{RECORD}/attachments/b")
    url = (await client.get(f"{FILE}/url")).data["url"]
    anybody = client.anonymous()

    assert (await anybody.get(url.replace("attachments/attachment", "attachments/b"))).status == 403
    assert (await anybody.get(url.replace("attachments/attachment", "attachments/none"))).status == 403
    assert (await anybody.get(url.replace("expires=", "expires=1"))).status == 403
    assert (await anybody.get(url[:-1])).status == 403
    assert (await anybody.get(f"{FILE}?signature=ä&expires=²")).status == 403
    assert (await anybody.get(f"{FILE}?signature=00&expires={'9' * 5000}")).status == 403

    await upload(client, file("a.txt", b"secret"))
    assert (await anybody.get(url)).status == 403


@pytest.mark.parametrize("seconds", ["0", "3601", "x", "-1", "9" * 5000, ""])
async def test_a_url_is_signed_for_a_limited_time(client: Client, seconds: str) -> None:
    response = await client.get(f"{FILE}/url?seconds={seconds or 'a'}")

    assert (response.status, response.json["message"]) == (400, "seconds is from 1 to 3600")


async def test_without_a_secret_nothing_is_signed(settings: Settings) -> None:
    async with Client(App(replace(settings, userid_hmac_secret="", policies=()), RESOURCES)) as client:
        assert (await client.get(f"{FILE}/url")).status == 404
        assert (await client.get(f"{FILE}?signature=00&expires=99999999999")).status == 403
