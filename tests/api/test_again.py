"""A request that met others in its way is served again, whole: C15."""

from collections.abc import Callable
from typing import Any

import pytest
from tests.api.sharing import serving

from kobako.databases.base import PAUSES_S, TryAgain
from kobako.testing.client import Client

PARTS = [{"method": "PUT", "path": f"/buckets/{name}"} for name in "ab"]

Fail = Callable[[Client, int], None]


@pytest.fixture
def fail(monkeypatch: pytest.MonkeyPatch) -> Fail:
    """A function that lets the next units of work that write come to nothing at their commit, so many."""

    def fail(client: Client, times: int) -> None:
        database = client.app.site.backends.database
        begin, left = database.begin, [TryAgain("another was first")] * times

        class Beginning:
            def __init__(self, lists: Any = (), emptied: Any = ()) -> None:
                self.unit, self.writes = begin(lists, emptied), bool(lists)

            async def __aenter__(self) -> Any:
                return await self.unit.__aenter__()

            async def __aexit__(self, *error: Any) -> Any:
                # Readers come and go.
                if not (self.writes and left):
                    return await self.unit.__aexit__(*error)
                failure = left.pop()
                await self.unit.__aexit__(TryAgain, failure, None)
                raise failure

        monkeypatch.setattr(database, "begin", Beginning)
        monkeypatch.setattr(database, "foresee", lambda asked, *what: Beginning(*what), raising=False)

    return fail


@pytest.mark.parametrize("headers", [{}, {"Idempotency-Key": "k"}], ids=["plain", "with a key"])
async def test_c15_a_request_is_served_again_and_told_of_once(fail: Fail, headers: Any) -> None:
    before, after = list[str](), list[str]()

    def tell_before(_: Any, event: Any) -> None:
        before.append(event.action)

    def tell_after(_: Any, event: Any) -> None:
        after.append(event.action)

    async with serving(before_commit=[tell_before], after_commit=[tell_after]) as client:
        fail(client, len(PAUSES_S))

        answered = await client.request("POST", "/batch", json={"requests": PARTS}, headers=headers)

        assert [each["status"] for each in answered.json["responses"]] == [201, 201]
        assert (len(before), len(after)) == (len(PAUSES_S) + 1, 1)
        assert (await client.head("/buckets")).headers["Total-Objects"] == "2"


async def test_c15_after_the_last_attempt_it_is_a_503_and_nothing_is_kept(client: Client, fail: Fail) -> None:
    fail(client, len(PAUSES_S) + 1)

    answered = await client.put("/buckets/b")

    assert (answered.status, answered.headers["Retry-After"]) == (503, "3")
    assert (await client.head("/buckets")).headers["Total-Objects"] == "0"
