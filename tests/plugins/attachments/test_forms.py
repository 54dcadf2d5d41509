"""What an upload may be, and what files are called (objects, 17.3, 17.6 and 17.7; reliability, A1 to A4 and A6)."""

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import pytest
from tests.plugins.attachments.sending import BOUNDARY, RECORD, URL, Part, file, form, stored, text, upload

from kobako import Request, Settings
from kobako.plugins.attachments import names
from kobako.plugins.attachments.options import Rules
from kobako.testing.client import Client

PNG = file("a.png", b"png", "image/png")

BAD = "Content-Type should be multipart/form-data"


@pytest.mark.parametrize(
    ("parts", "errno", "message"),
    [
        pytest.param([text("data", {})], 109, "Attachment missing.", id="no file"),
        pytest.param([file(None)], 107, "body: Filename is required.", id="no file name"),
        pytest.param([file("")], 107, "body: Filename is required.", id="empty file name"),
        pytest.param([file("../..")], 107, "body: File extension is not allowed.", id="dots"),
        pytest.param([file("a.exe")], 107, "body: File extension is not allowed.", id="another extension"),
        pytest.param([file("Makefile")], 107, "body: File extension is not allowed.", id="no extension"),
        pytest.param([file(".htaccess")], 107, "body: File extension is not allowed.", id="hidden"),
        pytest.param([PNG, text("foo", 1)], 107, "body: 'foo' not in ('data', 'permissions')", id="unknown part"),
        pytest.param([PNG, PNG], 107, "body: 'attachment' is given twice", id="two files"),
        pytest.param(
            [PNG, ("data", "data.json", "application/json", b"{}")],
            107,
            "body: 'data' field should be passed as form data, not files",
            id="data as a file",
        ),
        pytest.param(
            [PNG, text("data", b"{")],
            109,
            "body: data is not valid JSON (Input data was truncated)",
            id="data is no JSON",
        ),
        pytest.param(
            [text("permissions", b"x"), PNG],
            109,
            "body: permissions is not valid JSON (JSON is malformed: invalid character (byte 0))",
            id="permissions are no JSON",
        ),
        pytest.param(
            [PNG, text("data", [])],
            107,
            'data in body: "[]" is not a mapping type: Does not implement dict-like functionality.',
            id="data is no object",
        ),
        pytest.param(
            [PNG, text("permissions", {"eat": []})],
            107,
            'permissions in body: "eat" is not one of read, write',
            id="unknown permission",
        ),
        pytest.param(
            [PNG, text("data", {"id": "other"})],
            107,
            "Object id does not match existing object",
            id="another id",
        ),
    ],
)
async def test_a_form_that_is_wrong_is_refused_and_leaves_nothing(
    client: Client, folder: Path, parts: list[Part], errno: int, message: str
) -> None:
    response = await upload(client, *parts)

    assert (response.status, response.json["errno"], response.json["message"]) == (400, errno, message)
    assert stored(folder) == {}
    assert (await client.get(RECORD)).status == 404


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        pytest.param("application/json", b"{}", id="JSON"),
        pytest.param("multipart/form-data", form([PNG]), id="no boundary"),
        pytest.param(f"multipart/form-data; boundary={'x' * 300}", form([PNG]), id="long boundary"),
        pytest.param("multipart/form-data; boundary=other", form([PNG]), id="another boundary"),
        pytest.param(f"multipart/form-data; boundary={BOUNDARY}", b"hello", id="no form"),
        pytest.param("", form([PNG]), id="no type"),
    ],
)
async def test_a_body_has_to_be_a_form(client: Client, kind: str, body: bytes) -> None:
    response = await upload(client, body=body, headers={"content-type": kind})

    assert (response.status, response.json["errno"], response.json["message"]) == (400, 107, BAD)


async def test_nothing_is_unpacked(client: Client) -> None:
    """A3."""
    response = await upload(client, PNG, headers={"content-encoding": "gzip"})

    assert response.json["message"] == "Content-Encoding is not supported"


HEAD = f"--{BOUNDARY}\r\nContent-Disposition: form-data; name=".encode()


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(form([text(f"p{each}", each) for each in range(10_000)]), id="10,000 parts"),
        pytest.param(form([text("data", {})] * 10_000), id="10,000 times one part"),
        pytest.param(b"\r\n" + b"x" * 10_000_000 + form([PNG]), id="10 MB before"),
        pytest.param(b"\r\n-" * 3_000_000 + form([PNG]), id="nearly boundaries before"),
        pytest.param(HEAD + b'"attachment"; filename="' + b"a" * 1_000_000 + b'.png"\r\n\r\n', id="1 MB of a header"),
        pytest.param(HEAD + b'"data"\r\n' + b"X-A: b\r\n" * 1000, id="1,000 headers"),
        pytest.param(form([PNG])[:-8], id="no end"),
        pytest.param(form([text("data", {"a": "b"})])[:-30], id="no end of a part"),
        pytest.param(HEAD, id="no end of a header"),
        pytest.param(f"--{BOUNDARY}\r\n\r\n\r\n--{BOUNDARY}--\r\n".encode(), id="a part without headers"),
        pytest.param(b"", id="nothing"),
    ],
)
async def test_what_is_no_honest_form_is_a_400(client: Client, folder: Path, body: bytes) -> None:
    """A6."""
    chunked = Request(
        method="POST",
        path=f"/v1{URL}",
        headers={**client.headers, "content-type": f"multipart/form-data; boundary={BOUNDARY}"},
        stream=_chunks(body),
    )
    response = await client.app.answer(chunked)

    assert response.status == 400
    assert stored(folder) == {}


async def test_texts_are_as_large_as_bodies_at_most(client: Client, folder: Path, settings: Settings) -> None:
    response = await upload(client, PNG, text("data", {"a": "x" * settings.max_body_size_bytes}))

    assert (response.status, response.json["errno"]) == (413, 113)
    assert stored(folder) == {}


@pytest.mark.parametrize("size", [1, 7, 70_000])
async def test_a_form_may_be_cut_anywhere(client: Client, folder: Path, size: int) -> None:
    content = bytes(range(256)) * 4 + b"\r\n--XyZ-\r\n--Xy\r\n"
    request = Request(
        method="POST",
        path=f"/v1{URL}",
        headers={**client.headers, "content-type": f"multipart/form-data; boundary={BOUNDARY}"},
        stream=_chunks(form([text("data", {"a": 1}), file("a.txt", content)]), size),
    )

    assert (await client.app.answer(request)).status == 201
    assert list(stored(folder).values()) == [content]


async def _chunks(body: bytes, size: int = 65_536) -> AsyncIterator[bytes]:
    for at in range(0, len(body), size):
        yield body[at : at + size]


# Limits


@pytest.mark.parametrize("options", [{"max_size_bytes": "5"}])
async def test_a_file_over_the_limit_is_refused_where_it_is_passed(client: Client, folder: Path) -> None:
    """A4."""
    read = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal read
        yield form([file("a.txt", b"123456")])[:-10]
        for _ in range(100):
            read += 1
            yield b"x" * 65_536

    assert (await upload(client, file("a.txt", b"12345"))).status == 201
    refused = await upload(client, file("a.txt", b"123456"))
    assert refused.json["message"] == "body: File size (6 bytes) exceeds the limit (5 bytes)."

    request = Request(
        method="POST",
        path=f"/v1{RECORD}2/attachment",
        headers={**client.headers, "content-type": f"multipart/form-data; boundary={BOUNDARY}"},
        stream=body(),
    )
    assert (await client.app.answer(request)).status == 400
    assert read == 0
    assert list(stored(folder).values()) == [b"12345"]


@pytest.mark.parametrize("options", [{"grace_seconds": "1", "randomize": "false"}])
async def test_what_takes_longer_than_the_grace_time_is_given_up(client: Client, folder: Path) -> None:
    async def body() -> AsyncIterator[bytes]:
        sent = form([file()])
        yield sent[:-20]
        await asyncio.sleep(30)

    headers = {**client.headers, "content-type": f"multipart/form-data; boundary={BOUNDARY}"}
    response = await client.app.answer(Request(method="POST", path=f"/v1{URL}", headers=headers, stream=body()))

    assert response.status == 400
    assert b"The upload takes longer than 1 seconds." in response.body
    assert stored(folder) == {}


@pytest.mark.parametrize(
    "options",
    [
        {
            "max_size_bytes": "5",
            "resources.b.max_size_bytes": "6",
            "resources.b.c.max_size_bytes": "7",
            "resources.b.randomize": "false",
        }
    ],
)
async def test_a_bucket_and_a_collection_have_rules_of_their_own(client: Client) -> None:
    await client.put("/buckets/b/collections/d")
    await client.put("/buckets/a")
    await client.put("/buckets/a/collections/c")

    async def most(collection: str) -> int:
        sizes = [5, 6, 7, 8]
        url = f"{collection}/records/r/attachment"
        answers = [await upload(client, file("a.txt", b"x" * size), url=url) for size in sizes]
        named = re.compile(r".*/a(-\d+)?\.txt")
        locations = [each.json["location"] for each in answers if each.status < 300]
        assert {bool(named.fullmatch(each)) for each in locations} == {"/buckets/b" in url}
        return max(size for size, each in zip(sizes, answers, strict=True) if each.status < 300)

    assert await most("/buckets/b/collections/c") == 7
    assert await most("/buckets/b/collections/d") == 6
    assert await most("/buckets/a/collections/c") == 5


@pytest.mark.parametrize("options", [{"extensions": "images+.PEM"}, {"extensions": "images+pem+default"}])
async def test_extensions_are_those_of_groups_and_single_ones(client: Client) -> None:
    statuses = [(await upload(client, file(name))).status for name in ("a.PNG", "a.pem", "a.sh")]

    assert statuses == [201, 200, 400]


@pytest.mark.parametrize("options", [{"extensions": "any"}])
async def test_any_extension_may_be_allowed(client: Client) -> None:
    assert (await upload(client, file("Makefile"))).status == 201


# Types


@pytest.mark.parametrize(
    ("options", "name", "kind", "told"),
    [
        ({}, "a.txt", "text/html", "text/plain"),
        ({"extensions": "any"}, "a.geojson", None, "application/geojson"),
        ({"extensions": "any", "mimetypes": ".abc:x/y;.txt:text/x"}, "a.abc", "text/plain", "x/y"),
        ({"extensions": "any"}, "a.abc", "chemical/x-alchemy; a=b", "chemical/x-alchemy"),
        ({"extensions": "any"}, "a.abc", None, "application/octet-stream"),
    ],
)
async def test_the_type_is_that_of_the_extension_or_else_what_is_said(
    client: Client, name: str, kind: str | None, told: str
) -> None:
    """A2."""
    assert (await upload(client, file(name, kind=kind))).json["mimetype"] == told


# Names


@pytest.mark.parametrize("options", [{"randomize": "false", "extensions": "any"}])
@pytest.mark.parametrize(
    ("name", "path", "told"),
    [
        ("../../x", "b/c/x", "x"),
        ("..\\x", "b/c/x", "x"),
        ("/etc/x", "b/c/x", "x"),
        ("C:\\temp\\x.txt", "b/c/x.txt", "x.txt"),
        ("a\x00b.txt", "b/c/ab.txt", "ab.txt"),
        (".htaccess", "b/c/htaccess", ".htaccess"),
        ("con.txt", "b/c/_con.txt", "con.txt"),
        ("Foto (ä) 1.JPG", "b/c/Foto_1.jpg", "Foto (ä) 1.JPG"),
        ("x#1", "b/c/x_1", "x#1"),
        ("a" * 300 + ".txt", f"b/c/{'a' * 100}.txt", "a" * 300 + ".txt"),
        ("...", "b/c/file", "..."),
    ],
)
async def test_a_name_is_made_safe(client: Client, folder: Path, name: str, path: str, told: str) -> None:
    """A1."""
    about = (await upload(client, file(name))).json

    assert (about["location"], about["filename"]) == (path, told)
    assert list(stored(folder)) == [path]


@pytest.mark.parametrize("options", [{"randomize": "false"}])
async def test_a_name_that_is_taken_gets_a_number(client: Client, folder: Path) -> None:
    for each in ("r", "s", "t"):
        await upload(client, file("a.TXT", each.encode()), url=f"/buckets/b/collections/c/records/{each}/attachment")

    assert stored(folder) == {"b/c/a.txt": b"r", "b/c/a-1.txt": b"s", "b/c/a-2.txt": b"t"}


@pytest.mark.parametrize("options", [{"folder": "up/{collection_id}/", "base_url": "https://cdn.example/files"}])
async def test_a_location_is_the_base_url_and_the_path(client: Client) -> None:
    location = (await upload(client)).json["location"]

    assert location.startswith("https://cdn.example/files/up/c/")


def test_random_names_may_follow_a_pattern() -> None:
    now = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    pattern = Rules(filename_pattern="{datetime}-{filename}")
    unique = Rules(filename_pattern="{rid}_{datetime}")

    assert list(islice(names.candidates(pattern, "a b.TXT", now), 2)) == [
        "20260102030405-a_b.txt",
        "20260102030405-a_b-1.txt",
    ]
    first = next(names.candidates(unique, "a.txt", now))
    assert (first[36:], len(first)) == ("_20260102030405.txt", 55)
    assert (names.is_unique(pattern), names.is_unique(unique), names.is_unique(Rules())) == (False, True, True)
