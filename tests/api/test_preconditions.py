"""Preconditions: what If-Match and If-None-Match do to each operation (HTTP API, section 8)."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from kobako.testing.client import Answer, Client

LIST = "/buckets/b/collections/c/records"
OBJECT = f"{LIST}/r"
MISSING = f"{LIST}/missing"
NONE, MATCH = "If-None-Match", "If-Match"


@pytest.fixture
async def client(client: Client) -> Client:
    """The client, with one record, and the tombstone of another."""
    await client.put("/buckets/b")
    await client.put("/buckets/b/collections/c")
    await client.put(OBJECT, {"n": 1}, {"read": ["system.Authenticated"]})
    await client.put(f"{LIST}/gone")
    await client.delete(f"{LIST}/gone")
    return client


# Columns of the table in 8.2: what is asked, and of what.
OPERATIONS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "GET list": ("GET", LIST, {}),
    "HEAD list": ("HEAD", LIST, {}),
    "GET": ("GET", OBJECT, {}),
    "HEAD": ("HEAD", OBJECT, {}),
    "POST existing": ("POST", LIST, {"json": {"data": {"id": "r"}}}),
    "PUT": ("PUT", OBJECT, {"json": {"data": {}}}),
    "PATCH": ("PATCH", OBJECT, {"json": {"data": {"n": 2}}}),
    "DELETE": ("DELETE", OBJECT, {}),
    "DELETE list": ("DELETE", LIST, {}),
    "GET missing": ("GET", MISSING, {}),
    "HEAD missing": ("HEAD", MISSING, {}),
    "POST new": ("POST", LIST, {"json": {"data": {"id": "new"}}}),
    "POST without id": ("POST", LIST, {"json": {"data": {}}}),
    "POST gone": ("POST", LIST, {"json": {"data": {"id": "gone"}}}),
    "PUT missing": ("PUT", MISSING, {"json": {"data": {}}}),
    "PUT gone": ("PUT", f"{LIST}/gone", {"json": {"data": {}}}),
    "PATCH missing": ("PATCH", MISSING, {"json": {"data": {"n": 2}}}),
    "DELETE missing": ("DELETE", MISSING, {}),
}
EXISTING = ("GET list", "HEAD list", "GET", "HEAD", "POST existing", "PUT", "PATCH", "DELETE", "DELETE list")
ABSENT = (
    "GET missing",
    "HEAD missing",
    "POST new",
    "POST without id",
    "POST gone",
    "PUT missing",
    "PUT gone",
    "PATCH missing",
    "DELETE missing",
)

# Rows: (header, value) -> the status of each of EXISTING; "equal" is the version of the object or list.
ON_EXISTING = {
    (NONE, "equal"): (304, 304, 304, 304, 200, 200, 200, 200, 200),
    (NONE, "different"): (200, 200, 200, 200, 200, 200, 200, 200, 200),
    (NONE, "greater"): (200, 200, 200, 200, 200, 200, 200, 200, 200),
    (NONE, "*"): (412, 412, 412, 412, 412, 412, 412, 412, 412),
    (MATCH, "equal"): (200, 200, 200, 200, 200, 200, 200, 200, 200),
    (MATCH, "different"): (412, 412, 412, 412, 412, 412, 412, 412, 412),
    (MATCH, "greater"): (412, 412, 412, 412, 412, 412, 412, 412, 412),
    (MATCH, "*"): (200, 200, 200, 200, 200, 200, 200, 200, 200),
}
# The same of each of ABSENT; "equal" is the version of the list.
ON_ABSENT = {
    (NONE, "equal"): (404, 404, 201, 201, 201, 201, 201, 404, 404),
    (NONE, "*"): (404, 404, 201, 201, 201, 201, 201, 404, 404),
    (MATCH, "equal"): (404, 404, 412, 412, 412, 412, 412, 404, 404),
    (MATCH, "different"): (404, 404, 412, 412, 412, 412, 412, 404, 404),
    (MATCH, "*"): (404, 404, 412, 412, 412, 412, 412, 404, 404),
}
TABLE = [
    pytest.param(operation, header, value, status, id=f"{operation} {header} {value}")
    for columns, rows in ((EXISTING, ON_EXISTING), (ABSENT, ON_ABSENT))
    for (header, value), statuses in rows.items()
    for operation, status in zip(columns, statuses, strict=True)
]


@pytest.mark.parametrize(("operation", "header", "value", "status"), TABLE)
async def test_a_precondition_decides(client: Client, operation: str, header: str, value: str, status: int) -> None:
    method, url, options = OPERATIONS[operation]
    on_object = operation in EXISTING and not operation.endswith("list")
    version = (await client.get(OBJECT if on_object else LIST)).etag
    before = (await client.get(LIST)).etag
    values = {"equal": f'"{version}"', "different": f'"{version - 1}"', "greater": f'"{version + 1}"', "*": "*"}

    response = await client.request(method, url, headers={header: values[value]}, **options)

    assert response.status == status
    if status in (304, 404, 412):
        assert (await client.get(LIST)).etag == before
    if status in (304, 412):
        assert (response.etag, "Last-Modified" in response.headers) == (version, True)


async def test_if_none_match_star_is_looked_at_before_if_match(client: Client) -> None:
    version = (await client.get(OBJECT)).headers["ETag"]

    over_object = await client.put(OBJECT, {}, headers={NONE: "*", MATCH: version})
    over_nothing = await client.put(MISSING, {}, headers={NONE: "*", MATCH: version})

    assert (over_object.status, over_nothing.status) == (412, 201)


@pytest.mark.parametrize("header", [MATCH, NONE])
@pytest.mark.parametrize(
    "value",
    [
        "123",
        'W/"123"',
        '"1", "2"',
        '""',
        '"abc"',
        '"-1"',
        '" 1"',
        '"1',
        "*x",
        "**",
        "",
        '"1e3"',
        '"1.0"',
        '"\N{ARABIC-INDIC DIGIT ONE}"',
        '"' + "1" * 10_000 + '"',
        "x" * 10_000,
        '"1"\n',
    ],
)
async def test_a_precondition_of_another_form_is_refused(client: Client, header: str, value: str) -> None:
    """I6."""
    for method, url in (("GET", LIST), ("PUT", OBJECT), ("DELETE", LIST)):
        response = await client.request(method, url, headers={header: value})

        assert response.status == 400
        assert response.json["details"] == [
            {"location": "header", "name": header, "description": "The value should be integer between double quotes."}
        ]


async def test_dates_are_no_preconditions(client: Client) -> None:
    headers = {
        "If-Modified-Since": "Sun, 22 Nov 2099 01:39:29 GMT",
        "If-Unmodified-Since": "Sun, 22 Nov 1999 01:39:29 GMT",
    }

    assert (await client.get(OBJECT, headers=headers)).status == 200
    assert (await client.put(OBJECT, {}, headers=headers)).status == 200


@pytest.mark.parametrize("url", [LIST, OBJECT])
async def test_a_304_says_the_version_and_nothing_else(client: Client, url: str) -> None:
    known = await client.get(url)

    response = await client.get(url, headers={NONE: known.headers["ETag"]})

    assert (response.status, response.json) == (304, None)
    assert not {"Cache-Control", "Expires", "Content-Type", "Next-Page"} & set(response.headers)
    assert response.headers["Last-Modified"] == known.headers["Last-Modified"]


async def test_the_version_of_a_list_is_of_all_of_it_whatever_the_filters(client: Client) -> None:
    known = (await client.get(LIST)).headers["ETag"]
    bob = client.as_user("bob")

    assert (await client.get(f"{LIST}?n=7", headers={NONE: known})).status == 304
    assert (await bob.get(LIST, headers={NONE: known})).status == 304


async def test_a_304_is_never_said_of_an_older_version(client: Client) -> None:
    """S10: whatever was written in between."""
    writes: list[Callable[[], Awaitable[Answer]]] = [
        lambda: client.put(f"{LIST}/a"),
        lambda: client.put(f"{LIST}/a", {"n": 1}),
        lambda: client.patch(f"{LIST}/a", {"n": 1}),
        lambda: client.patch(f"{LIST}/a", permissions={"read": ["bob"]}),
        lambda: client.delete(f"{LIST}/a"),
        lambda: client.post(LIST),
        lambda: client.delete(LIST),
    ]
    for write in writes:
        older = (await client.get(LIST)).headers["ETag"]
        assert (await client.get(LIST, headers={NONE: older})).status == 304

        assert (await write()).status < 300

        assert (await client.get(LIST, headers={NONE: older})).status == 200


@pytest.mark.parametrize("operation", ["GET", "POST existing", "PUT", "PATCH", "DELETE"])
async def test_a_412_shows_the_object_to_those_who_may_read_it(client: Client, operation: str) -> None:
    """P3: its permissions are no part of it."""
    method, url, options = OPERATIONS[operation]
    existing = (await client.get(OBJECT)).data

    response = await client.request(method, url, headers={MATCH: '"1"'}, **options)

    assert response.status == 412
    assert response.json["details"] == {"existing": existing}


@pytest.mark.parametrize("operation", ["GET list", "DELETE list", "POST new", "POST gone", "PUT missing", "PUT gone"])
async def test_a_412_of_what_is_no_object_has_no_details(client: Client, operation: str) -> None:
    method, url, options = OPERATIONS[operation]

    response = await client.request(method, url, headers={MATCH: '"1"'}, **options)

    assert response.status == 412
    assert "details" not in response.json


async def test_who_may_only_create_learns_nothing_from_a_412(client: Client) -> None:
    """P3, C22: neither what the object is, nor may it be overwritten."""
    await client.patch("/buckets/b/collections/c", permissions={"record:create": ["system.Authenticated"]})
    await client.put(f"{LIST}/secret", {"n": 42})
    bob = client.as_user("bob")

    response = await bob.put(f"{LIST}/secret", {"n": 1}, headers={NONE: "*"})

    assert response.status == 412
    assert "details" not in response.json
    assert (await bob.put(f"{LIST}/secret", {"n": 1})).status == 403
    assert (await bob.post(LIST, {"id": "secret", "n": 1})).status == 403
    assert (await client.get(f"{LIST}/secret")).data["n"] == 42


async def test_who_may_write_and_not_create_is_refused_to_create_only(client: Client) -> None:
    await client.patch(OBJECT, permissions={"write": ["system.Authenticated"]})

    response = await client.as_user("bob").put(OBJECT, {"n": 2}, headers={NONE: "*"})

    assert response.status == 403
