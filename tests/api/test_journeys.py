"""How often a request asks PostgreSQL for something: what it costs is for the most part this."""

from typing import Any

import pytest
from tests.servers import modes

from kobako.databases.postgresql_session import Session
from kobako.testing.client import Client

LIST = "/buckets/b/collections/c/records"
ONE = f"{LIST}/r"

# Behind a pooler what is asked alone needs a transaction around it.
BACKENDS = [pytest.param("postgresql", marks=pytest.mark.server)] if modes.chosen() != "pooler" else []

pytestmark = pytest.mark.parametrize("backend", BACKENDS, indirect=True)


@pytest.fixture
async def client(client: Client) -> Client:
    await client.put("/buckets/b")
    await client.put("/buckets/b/collections/c")
    await client.put(ONE, {"title": "first"})
    return client


@pytest.fixture
def asked(client: Client, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is asked from now on."""
    found = list[str]()
    for name in ("run", "execute"):
        original = getattr(Session, name)

        async def noted(self: Session, sql: str, *values: Any, original: Any = original, **more: Any) -> Any:
            told = await original(self, sql, *values, **more)
            # What is refused is not sent.
            found.append(sql)
            return told

        monkeypatch.setattr(Session, name, noted)
    return found


@pytest.mark.parametrize(("url", "first"), [(ONE, 1), (f"{LIST}?_since=%s", 1), (LIST, 4)])
async def test_what_is_read_again_takes_one(client: Client, asked: list[str], url: str, first: int) -> None:
    if "%s" in url:
        url %= (await client.head(LIST)).etag
    asked.clear()
    assert (await client.get(url)).status == 200
    assert len(asked) == first
    asked.clear()
    assert (await client.get(url)).status == 200
    assert len(asked) == 1


async def test_a_poll_with_changes_takes_five(client: Client, asked: list[str]) -> None:
    """One of them in vain: most have none."""
    assert (await client.get(f"{LIST}?_since=1")).data
    assert len(asked) == 5


@pytest.mark.parametrize(
    ("method", "url", "journeys"),
    [("PUT", ONE, 5), ("PATCH", ONE, 5), ("PUT", f"{LIST}/new", 6), ("POST", LIST, 6), ("DELETE", ONE, 8)],
)
async def test_a_write_takes_so_many(client: Client, asked: list[str], method: str, url: str, journeys: int) -> None:
    body = None if method == "DELETE" else {"data": {"title": "other"}}
    assert (await client.request(method, url, json=body)).status in (200, 201)
    assert len(asked) == journeys


@pytest.mark.parametrize("number", [2, 25])
@pytest.mark.parametrize("method", ["PUT", "POST"])
async def test_a_batch_takes_as_many_as_one_of_its_parts(
    client: Client, asked: list[str], method: str, number: int
) -> None:
    paths = [f"{LIST}/n{n}" if method == "PUT" else LIST for n in range(number)]
    answer = await client.batch(*({"method": method, "path": path, "body": {"data": {}}} for path in paths))
    assert {each["status"] for each in answer.json["responses"]} == {201}
    assert len(asked) == 6
