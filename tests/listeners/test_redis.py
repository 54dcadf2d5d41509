"""The listener that pushes events to a list in Redis: what, where, and what becomes of a server that is not there."""

import logging
import sys
import uuid
from pathlib import Path

import pytest
from redis.asyncio import Redis
from tests.api.sharing import B, C, create, serving
from tests.listeners.free import free_port
from tests.servers.valkey import Valkey

from kobako.protocol import jsontext
from kobako.protocol.errors import Forbidden
from kobako.settings import EventListener, SettingsError, read_settings


@pytest.mark.server
async def test_each_event_is_pushed_once_it_is_committed(valkey: Valkey) -> None:
    def refuse(tx: object, event: object) -> None:
        raise Forbidden

    name = f"events-{uuid.uuid4()}"
    described = EventListener("r", "kinto_redis.listeners", options={"url": valkey.url(), "listname": name})
    async with serving(event_listeners=(described,)) as client:
        await create(client, B, C)
    async with serving(event_listeners=(described,), before_commit=[refuse]) as client:
        assert (await client.put(B)).status == 403

    async with Redis.from_url(valkey.url()) as redis:
        pushed = [jsontext.decode(each) for each in await redis.lrange(name, 0, -1)]
        await redis.delete(name)
    # The newest stands first.
    assert [(each["action"], each["uri"]) for each in pushed] == [("create", C), ("create", B)]
    assert set(pushed[1]) == {"timestamp", "action", "uri", "user_id", "resource_name", "bucket_id"}


@pytest.mark.server
@pytest.mark.parametrize(
    ("use", "listname"),
    [
        ("cliquet.listeners.redis", "cliquet.events"),
        ("kinto_redis.listeners", "kinto.core.events"),
        ("kobako.listeners.redis", "kinto.core.events"),
        ("redis", "kinto.core.events"),
    ],
)
async def test_the_list_has_the_name_it_always_had(valkey: Valkey, use: str, listname: str) -> None:
    url = valkey.url(9)
    async with (
        Redis.from_url(url) as redis,
        serving(event_listeners=(EventListener("r", use, options={"url": url, "pool_size": "2"}),)) as client,
    ):
        await redis.delete(listname)
        await create(client, B)

        assert await redis.llen(listname) == 1


async def test_a_server_that_is_not_there_is_logged_and_the_request_succeeds(caplog: pytest.LogCaptureFixture) -> None:
    url = f"redis://me:sesame@127.0.0.1:{free_port()}/0"
    async with serving(event_listeners=(EventListener("r", "redis", options={"url": url}),)) as client:
        with caplog.at_level(logging.ERROR):
            await create(client, B)
        assert (await client.get(B)).status == 200

    [message] = [each.getMessage() for each in caplog.records if each.levelno >= logging.ERROR]
    assert message.startswith(f"Unable to push an event of {B} to redis://me:***@127.0.0.1:")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"url": "http://me:sesame@x"}, r"'event_listeners\.r\.url' is 'http://\*\*\*@x': must be redis://"),
        ({"pool_size": "0"}, r"'event_listeners\.r\.pool_size' is '0': must be a whole number, 1 or more\."),
        ({"lst": "x"}, r"Unknown setting 'event_listeners\.r\.lst': 'redis' has the options url, listname, pool_size"),
    ],
)
async def test_options_that_cannot_be_stop_the_start(options: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        async with serving(event_listeners=(EventListener("r", "redis", options=options),)):
            pass


async def test_a_library_that_is_missing_is_named_by_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "kobako.listeners.redis", raising=False)
    monkeypatch.setitem(sys.modules, "redis.asyncio", None)

    with pytest.raises(SettingsError, match=r"it needs a library, which comes with `pip install 'kobako\[redis\]'`"):
        async with serving(event_listeners=(EventListener("r", "redis"),)):
            pass


def test_a_file_of_cliquets_time_names_it(tmp_path: Path) -> None:
    ini = tmp_path / "cliquet.ini"
    ini.write_text(
        "[app:main]\ncliquet.event_listeners = redis\n"
        "cliquet.event_listeners.redis.use = cliquet.listeners.redis\n"
        "cliquet.event_listeners.redis.url = redis://host:6379/1\n"
    )

    [found] = read_settings(ini, {}).event_listeners

    assert found == EventListener("redis", "cliquet.listeners.redis", options={"url": "redis://host:6379/1"})
