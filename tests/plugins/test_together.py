"""All plugins on at once: what kinto-admin asks, and what one plugin sees of what another does.

Source: HTTP API, 19.4; objects, 29.4.
"""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from tests.plugins.accounts import ACCOUNTS, app, sign_up
from tests.plugins.attachments.sending import stored, upload
from tests.plugins.everything import INCLUDES

from kobako.testing.client import Answer, Client

B = "/buckets/blog"
C = f"{B}/collections/articles"
R = f"{C}/records/first"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where files are kept."""
    return tmp_path / "files"


@pytest.fixture
async def alice(folder: Path) -> AsyncIterator[Client]:
    """Somebody with an account, on a server that has everything."""
    options = {
        **ACCOUNTS.plugin_options,
        "attachment.base_path": str(folder),
        "attachment.base_url": "https://files.example/",
        "quotas.bucket_max_items": "5",
        "default_bucket_hmac_secret": "salt",
    }
    async with Client(app(replace(ACCOUNTS, includes=INCLUDES, plugin_options=options)), None) as anybody:
        yield await sign_up(anybody, "alice")


async def entries(client: Client, query: str = "", bucket: str = B) -> list[tuple[str, str]]:
    """Return what happened to what, the latest first."""
    found = (await client.get(f"{bucket}/history{query}")).data
    return [(each["action"], each["uri"]) for each in found]


async def blog(client: Client) -> Answer:
    """Make a bucket, a collection and a record."""
    await client.put(B, data={})
    await client.put(C, data={"displayFields": ["title"], "sort": "title"})
    return await client.put(R, data={"title": "One", "status": "to-sign"})


async def test_kinto_admin_logs_in(alice: Client) -> None:
    hello = (await alice.get("/")).json
    wrong = await alice.as_user("alice", "wrong").get("/")

    assert {"accounts", "permissions_endpoint", "history", "attachments", "default_bucket"} <= hello[
        "capabilities"
    ].keys()
    assert hello["capabilities"]["attachments"]["base_url"] == "https://files.example/"
    assert hello["user"]["id"] == "account:alice"
    assert "account:alice" in hello["user"]["principals"]
    assert (await alice.get("/buckets/default")).data["id"] == hello["user"]["bucket"]
    # A login has failed where hello says nothing of a user.
    assert (wrong.status, wrong.json.get("user")) == (200, None)
    assert False not in (await alice.anonymous().get("/__heartbeat__")).json.values()


async def test_kinto_admin_fills_its_sidebar(alice: Client) -> None:
    await blog(alice)
    await alice.put("/buckets/default/collections/notes", data={})

    permissions = (await alice.get("/permissions?exclude_resource_name=record,group&_limit=200")).data
    lists = await alice.batch({"path": f"{B}/collections?_limit=200"}, {"path": "/buckets/default/collections"})
    own = (await alice.get("/")).json["user"]["bucket"]

    named = {(each["resource_name"], each["uri"]) for each in permissions}
    assert {("bucket", B), ("collection", C), ("bucket", f"/buckets/{own}"), ("account", "/accounts/alice")} <= named
    assert ("root", "/") in named
    assert [[each["id"] for each in answer["body"]["data"]] for answer in lists.json["responses"]] == [
        ["articles"],
        ["notes"],
    ]
    assert {each["id"] for each in (await alice.get("/buckets")).data} == {"blog", own}


async def test_kinto_admin_counts_pages_and_edits(alice: Client) -> None:
    first = await blog(alice)
    for number in range(2, 5):
        await alice.put(f"{C}/records/r{number}", data={"title": f"Number {number}"})

    counted = await alice.head(f"{C}/records")
    page = await alice.get(f"{C}/records?_sort=-title&_limit=3")
    rest = await alice.get(page.headers["Next-Page"])
    version = {"If-Match": f'"{first.data["last_modified"]}"'}
    edited = await alice.request("PATCH", R, json={"data": {"title": "Won"}}, headers=version)
    late = await alice.request("PATCH", R, json={"data": {"title": "Late"}}, headers=version)
    shared = await alice.request("PUT", R, json={"permissions": {"read": ["system.Everyone"]}})

    assert counted.headers["Total-Records"] == "4"
    assert [each["title"] for each in [*page.data, *rest.data]] == ["One", "Number 4", "Number 3", "Number 2"]
    assert (edited.status, late.status) == (200, 412)
    assert late.json["details"]["existing"]["title"] == "Won"
    assert shared.data["title"] == "Won"
    assert (await alice.anonymous().get(R)).status == 200


async def test_kinto_admin_reads_the_history(alice: Client) -> None:
    written = await blog(alice)
    await alice.patch(R, data={"title": "Won"})
    await alice.put(C, data={"status": "done"})

    version = written.data["last_modified"]
    queries = {
        f"?resource_name=record&collection_id=articles&record_id=first&gt_target.data.last_modified={version}": [
            "update"
        ],
        "?exclude_resource_name=record&collection_id=articles": ["update", "create"],
        "?target.data.status=to-sign": ["update", "create"],
        f"?like_user_id={quote('account:*')}&resource_name=bucket": ["create"],
        f"?exclude_user_id={quote('plugin:remote-settings,account:alice')}": [],
        f"?uri={quote(R)}&_limit=1": ["update"],
    }

    assert {query: [action for action, _ in await entries(alice, query)] for query in queries} == queries
    assert (await alice.head(f"{B}/history")).headers["Total-Records"] == "5"


async def test_kinto_admin_attaches_a_file(alice: Client, folder: Path) -> None:
    await blog(alice)

    attached = await upload(alice, url=f"{R}/attachment?gzipped=false")
    removed = await alice.delete(f"{R}/attachment")

    assert (attached.status, attached.json["size"], attached.json["mimetype"]) == (200, 5, "text/plain")
    assert attached.json["location"].startswith("https://files.example/")
    assert (removed.status, stored(folder)) == (204, {})
    assert (await entries(alice))[:2] == [("update", R), ("update", R)]


async def test_a_file_in_the_default_bucket_is_seen_by_all(alice: Client, folder: Path) -> None:
    """What it implies is made, recorded and counted; the record is in the real bucket."""
    answer = await upload(alice, url="/buckets/default/collections/notes/records/n/attachment")
    bucket = "/buckets/" + (await alice.get("/")).json["user"]["bucket"]

    assert (answer.status, len(stored(folder))) == (201, 1)
    assert await entries(alice, bucket=bucket) == [
        ("create", f"{bucket}/collections/notes/records/n"),
        ("create", f"{bucket}/collections/notes"),
        ("create", bucket),
    ]
    totals = (await alice.anonymous().get("/__counters__")).json["objects"]
    assert {name: totals[name] for name in ("account", "bucket", "collection", "record", "history", "attachments")} == {
        **dict.fromkeys(("account", "bucket", "collection", "record", "attachments"), 1),
        "history": 3,
    }


async def test_what_exceeds_a_quota_leaves_no_entry_and_no_file(alice: Client, folder: Path) -> None:
    await blog(alice)
    for number in range(2, 6):
        await alice.put(f"{C}/records/r{number}", data={})
    before = await entries(alice)

    refused = await upload(alice, url=f"{C}/records/another/attachment")

    assert (refused.status, refused.json["errno"]) == (507, 121)
    assert (stored(folder), await entries(alice)) == ({}, before)


async def test_accounts_are_in_no_history_and_their_users_see_only_what_is_theirs(alice: Client) -> None:
    await blog(alice)
    await alice.patch("/accounts/alice", data={"password": "another"})
    alice = alice.as_user("alice", "another")
    bob = await sign_up(alice, "bob")

    seen: list[Any] = [
        (await bob.get(f"{B}/history")).status,
        (await bob.get(f"{B}/snapshot/collections/articles@9999999999999")).status,
        (await bob.get(f"{R}/attachment")).status,
        await entries(bob, bucket="/buckets/default"),
    ]

    own = "/buckets/" + (await bob.get("/")).json["user"]["bucket"]
    assert seen == [403, 403, 405, [("create", own)]]
    assert not [uri for _, uri in await entries(alice) if "account" in uri]
    assert "argon2" not in (await alice.get(f"{B}/history")).body.decode()


async def test_everything_goes_with_a_flush(alice: Client) -> None:
    await blog(alice)

    assert (await alice.anonymous().request("POST", "/__flush__")).status == 202
    assert (await alice.get(B)).status == 401
    assert (await alice.anonymous().get("/__counters__")).json == {"objects": {}, "tombstones": {}}
