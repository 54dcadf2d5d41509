"""The contracts on Redis, and what only it has."""

import asyncio
import logging
import signal
import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.crc import key_slot
from tests.servers.daemon import free_port
from tests.servers.valkey import DURABLE, Valkey

from kobako.databases.base import BackendUnavailable, TryAgain, UnfitDatabase, attempts
from kobako.databases.redis import RedisDatabase
from kobako.databases.redis_fitness import findings
from kobako.databases.redis_keys import list_name
from kobako.databases.redis_server import Server
from kobako.protocol.selection import NEWEST_FIRST, Filter, Operator, Selection, Sort
from kobako.storage.base import Place, Total
from kobako.testing import Clock, DatabaseContract, PermissionContract, StorageContract
from kobako.testing.concurrency import give_time
from kobako.testing.fixtures import OTHERS, RECORDS, Refused, delete, get, ids, put, read, refused
from kobako.testing.selections import ORDERS, ROWS, differences, fill

pytestmark = pytest.mark.server


@pytest.fixture
async def database(clock: Clock, valkey: Valkey) -> AsyncIterator[RedisDatabase]:
    database = RedisDatabase(valkey.url(), clock, prefix=f"{uuid.uuid4()}:")
    await database.open()
    yield database
    await database.close()


class TestRedisDatabase(DatabaseContract, StorageContract, PermissionContract):
    """The contracts."""


@pytest.fixture
async def neighbour(clock: Clock, database: RedisDatabase, valkey: Valkey) -> AsyncIterator[RedisDatabase]:
    """The same database, of another process as it were."""
    neighbour = RedisDatabase(valkey.url(), clock, prefix=database.prefix)
    await neighbour.open()
    yield neighbour
    await neighbour.close()


@pytest.fixture
async def raw(valkey: Valkey) -> AsyncIterator[Redis]:
    """What the server holds, to look at and to meddle with."""
    async with Redis.from_url(valkey.url(), decode_responses=True) as raw:
        yield raw


@pytest.fixture
def own_server(request: pytest.FixtureRequest) -> Iterator[Valkey]:
    """A server that a test may do harm to, not started; a test that is parametrised gives its options."""
    server = Valkey(*getattr(request, "param", ()))
    try:
        yield server
    finally:
        server.remove()


async def take_away(raw: Redis, database: RedisDatabase) -> None:
    """Let every lease of a database run out, as if its holder had been asleep for long."""
    await raw.delete(*await keys_of(raw, database, "lease:*"))


async def keys_of(raw: Redis, database: RedisDatabase, pattern: str = "*") -> list[str]:
    return [key async for key in raw.scan_iter(f"{{{database.prefix}kobako}}:{pattern}")]


def to_be_tried_again() -> "pytest.RaisesExc[TryAgain]":
    return pytest.raises(TryAgain)


def unavailable() -> "pytest.RaisesExc[BackendUnavailable]":
    return pytest.raises(BackendUnavailable)


async def make_cluster(raw: Redis) -> None:
    """Give a node all slots, and wait until it serves them."""
    await raw.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)  # type: ignore[no-untyped-call]
    for _ in range(500):
        if "cluster_state:ok" in str(await raw.execute_command("CLUSTER", "INFO")):  # type: ignore[no-untyped-call]
            return
        await asyncio.sleep(0.02)
    raise AssertionError("the cluster is not ready")


class TestOptimism:
    """What is written rests on what is still true at the commit."""

    async def test_of_two_units_that_read_one_version_one_commits_and_nothing_of_the_other_is_there(
        self, database: RedisDatabase, neighbour: RedisDatabase, raw: Redis
    ) -> None:
        await put(database, "r1", {"n": 1})

        with to_be_tried_again():
            async with database.begin([RECORDS]) as unit:
                await unit.storage.get(RECORDS, "r1")
                await unit.storage.put(RECORDS, "r1", '{"n":2}')
                await unit.storage.put(RECORDS, "r2", "{}")
                await unit.permission.replace("/buckets/b", {"read": ["alice"]})
                await take_away(raw, database)
                written = await put(neighbour, "r1", {"n": 3})

        assert await read(database, tombstones=True) == [written]
        async with database.begin() as reading:
            assert await reading.permission.acl("/buckets/b") == {}
            assert await reading.permission.held(["alice"]) == set()

    async def test_a_right_that_was_taken_meanwhile_is_not_used(
        self, database: RedisDatabase, neighbour: RedisDatabase
    ) -> None:
        async with database.begin([RECORDS]) as unit:
            await unit.permission.replace("/buckets/b", {"write": ["alice"]})

        with to_be_tried_again():
            async with database.begin([RECORDS]) as unit:
                assert await unit.permission.granted(["alice"], ["/buckets/b"])
                async with neighbour.begin([OTHERS]) as other:
                    await other.permission.replace("/buckets/b", {"write": []})
                await unit.storage.put(RECORDS, "r1", "{}")

        assert await read(database) == []

    async def test_a_reader_is_not_shown_what_it_may_not_read_any_more(
        self, database: RedisDatabase, neighbour: RedisDatabase
    ) -> None:
        await put(database, "r1")
        async with database.begin([RECORDS]) as unit:
            await unit.permission.replace(f"{RECORDS.parent}/records/r1", {"read": ["bob"]})

        with to_be_tried_again():
            async with database.begin() as reading:
                assert await reading.permission.shared(["bob"], f"{RECORDS.parent}/records", ["read"]) == {"r1"}
                async with neighbour.begin([RECORDS]) as unit:
                    await unit.permission.replace(f"{RECORDS.parent}/records/r1", {"read": []})
                    await unit.storage.put(RECORDS, "r1", '{"secret":true}')
                await reading.storage.get(RECORDS, "r1")

    async def test_a_refusal_on_the_ground_of_what_is_true_no_more_is_tried_again(
        self, database: RedisDatabase, neighbour: RedisDatabase, raw: Redis
    ) -> None:
        with to_be_tried_again():
            async with database.begin([RECORDS]) as unit:
                assert await unit.storage.get(RECORDS, "r1") is None
                await take_away(raw, database)
                await put(neighbour, "r1")
                raise Refused

    async def test_a_list_opened_meanwhile_under_what_is_deleted_is_noticed(
        self, database: RedisDatabase, neighbour: RedisDatabase
    ) -> None:
        collections = Place("collection", "/buckets/b")

        with to_be_tried_again():
            async with database.begin([collections], emptied=["/buckets/b"]) as unit:
                await unit.storage.close_under("/buckets/b", tombstones=False)
                await put(neighbour, "r1")
                await unit.storage.put(collections, "c", "{}")

        assert len(await read(database)) == 1

    async def test_a_reader_in_whose_way_a_writer_was_takes_its_turn(
        self, database: RedisDatabase, neighbour: RedisDatabase
    ) -> None:
        goes = 0
        await put(database, "r1")

        for attempt in attempts():
            async with attempt, database.begin() as unit:
                goes += 1
                before = await unit.storage.timestamp(RECORDS)
                writing = asyncio.create_task(put(neighbour, f"r{goes}"))
                await give_time(writing)
                found = await unit.storage.list(RECORDS)

        assert goes == 2
        assert before == found[0].last_modified
        assert (await writing).last_modified > before

    async def test_with_another_prefix_it_is_another_database(
        self, database: RedisDatabase, valkey: Valkey, clock: Clock
    ) -> None:
        other = RedisDatabase(valkey.url(), clock, prefix=f"{database.prefix}x")
        await other.open()

        await put(database, "r1")

        assert await read(other) == []
        await other.flush()
        await other.close()
        assert len(await read(database)) == 1


class TestTurns:
    """Leases: fairness, and no more."""

    async def test_the_lists_under_what_may_be_deleted_are_waited_for(
        self, database: RedisDatabase, neighbour: RedisDatabase
    ) -> None:
        await put(database, "r1")

        async with database.begin([Place("collection", "/buckets/b")], emptied=[RECORDS.parent]) as unit:
            writing = asyncio.create_task(put(neighbour, "r2"))
            await give_time(writing)
            assert not writing.done()
            await unit.storage.close_under(RECORDS.parent, tombstones=True)

        await writing
        assert ids(await read(database, tombstones=True)) == ["r2", "r1"]

    async def test_who_has_the_turn_is_not_undone_by_who_writes_without_one(
        self, database: RedisDatabase, neighbour: RedisDatabase
    ) -> None:
        goes = 0

        async def write() -> None:
            nonlocal goes
            for attempt in attempts():
                async with attempt, neighbour.begin([OTHERS]) as unit:
                    goes += 1
                    # One that is learnt of too late to take the turn on it.
                    await unit.storage.put(RECORDS, "r2", "{}")

        async with database.begin([RECORDS]) as unit:
            await unit.storage.put(RECORDS, "r1", "{}")
            writing = asyncio.create_task(write())
            await give_time(writing)
            assert not writing.done()

        await writing
        assert goes == 2
        assert ids(await read(database)) == ["r2", "r1"]

    async def test_the_turn_of_a_process_that_died_runs_out(
        self, database: RedisDatabase, neighbour: RedisDatabase, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("kobako.databases.redis_leases.LEASE_MS", 300)
        lease = await database.leases.take([list_name(RECORDS)])
        lease.end()

        assert await put(neighbour, "r1") == await get(neighbour, "r1")

    async def test_the_turn_of_a_unit_that_takes_long_does_not(
        self, database: RedisDatabase, neighbour: RedisDatabase, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("kobako.databases.redis_leases.LEASE_MS", 300)

        async with database.begin([RECORDS]) as unit:
            writing = asyncio.create_task(put(neighbour, "r2"))
            await asyncio.sleep(1)
            assert not writing.done()
            first = await unit.storage.put(RECORDS, "r1", "{}")

        assert (await writing).last_modified > first.last_modified

    @pytest.mark.parametrize("where", ["database", "neighbour"])
    async def test_who_waits_too_long_is_sent_away(
        self, database: RedisDatabase, valkey: Valkey, clock: Clock, where: str
    ) -> None:
        hasty = RedisDatabase(valkey.url(), clock, prefix=database.prefix, wait_s=0.1)
        await hasty.open()
        holder = hasty if where == "database" else database

        async with holder.begin([RECORDS]):
            with pytest.raises(BackendUnavailable, match=r"waited 0\.1 s for a turn"):
                await asyncio.create_task(put(hasty, "r1"))

        assert await put(hasty, "r1") == await get(database, "r1")
        await hasty.close()

    async def test_who_waits_is_sent_away_although_the_driver_swallows_that(
        self, database: RedisDatabase, valkey: Valkey, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hasty = RedisDatabase(valkey.url(), clock, prefix=database.prefix, wait_s=0.1)
        await hasty.open()
        call, swallowed = Server.call, []

        async def swallowing(*asked: Any) -> Any:
            try:
                found = await call(*asked)
                await asyncio.sleep(0.05)
                return found
            except asyncio.CancelledError:
                swallowed.append(True)
                return None

        async with database.begin([RECORDS]):
            monkeypatch.setattr(Server, "call", swallowing)
            with pytest.raises(BackendUnavailable, match=r"waited 0\.1 s for a turn"):
                await asyncio.create_task(put(hasty, "r1"))
            monkeypatch.undo()

        assert swallowed
        await hasty.close()

    async def test_who_holds_no_turn_leaves_nothing_behind(
        self, database: RedisDatabase, neighbour: RedisDatabase, raw: Redis
    ) -> None:
        for each in (database, neighbour):
            with refused():
                async with each.begin([RECORDS, OTHERS]):
                    raise Refused
            await put(each, "r1")
        waiting = asyncio.create_task(put(neighbour, "r1"))
        async with database.begin([RECORDS]):
            await give_time(waiting)
            waiting.cancel()
            await asyncio.wait([waiting])

        assert await keys_of(raw, database, "lease:*") == []

    async def test_c18_units_that_are_cancelled_anywhere_keep_no_connection_and_no_turn(
        self, database: RedisDatabase, valkey: Valkey, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """C18."""
        monkeypatch.setattr("kobako.databases.redis_leases.LEASE_MS", 300)
        crowded = RedisDatabase(valkey.url(), clock, prefix=database.prefix, connections=2)
        await crowded.open()

        for n in range(60):
            tasks = [asyncio.create_task(put(crowded, f"r{each}")) for each in range(3)]
            for _ in range(n):
                await asyncio.sleep(0)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        written = await asyncio.gather(*(put(crowded, f"s{each}") for each in range(10)))
        assert {each.id for each in written} <= {*ids(await read(database))}
        await crowded.close()


class TestKeys:
    """What is where."""

    async def test_nothing_is_kept_of_what_is_gone(self, database: RedisDatabase, raw: Redis) -> None:
        async with database.begin([RECORDS]) as unit:
            await unit.storage.put(RECORDS, "r1", "{}")
            await unit.storage.put(RECORDS, "r2", "{}")
            await unit.storage.delete(RECORDS, ["r1"])
            await unit.permission.replace("/buckets/b", {"read": ["alice", "/buckets/b/groups/g"]})
            await unit.permission.replace("/buckets/x", {"read": ["/buckets/b/groups/g"]})
            await unit.permission.join("/buckets/b/groups/g", ["alice"])

        async with database.begin([RECORDS]) as unit:
            await unit.storage.close_under("/buckets/b", tombstones=False)
            await unit.permission.forget(["/buckets/b"])

        assert {key.rpartition(":")[2] for key in await keys_of(raw, database)} == {"meta", "lists", "names"}

    async def test_a_flush_leaves_the_epoch_only(self, database: RedisDatabase, raw: Redis) -> None:
        async with database.begin([RECORDS]) as unit:
            await unit.storage.put(RECORDS, "r1", "{}")
            await unit.storage.delete(RECORDS, ["r1"])
            await unit.storage.put(RECORDS, "r2", "{}")
            await unit.permission.replace("/buckets/b", {"read": ["alice"]})
            await unit.permission.join("/buckets/b/groups/g", ["alice"])

        await database.flush()

        assert [key.rpartition(":")[2] for key in await keys_of(raw, database)] == ["meta"]

    @pytest.mark.parametrize("lists", [1, 2, 3, 4])
    async def test_lists_are_counted_in_parts(
        self, database: RedisDatabase, monkeypatch: pytest.MonkeyPatch, lists: int
    ) -> None:
        monkeypatch.setattr("kobako.storage.redis.CHUNK", 2)
        for n in range(lists):
            await put(database, "r1", place=Place("record", f"/buckets/{n}"))

        async with database.begin() as unit:
            assert await unit.storage.totals() == {"record": Total(lists, 0)}

    @pytest.mark.parametrize("sort", ORDERS, ids=str)
    async def test_lists_are_read_in_parts(
        self, database: RedisDatabase, monkeypatch: pytest.MonkeyPatch, sort: tuple[Sort, ...]
    ) -> None:
        objects = await fill(database, ROWS)
        monkeypatch.setattr("kobako.storage.redis_range.CHUNK", 3)
        middle = sorted(each.last_modified for each in objects)[len(objects) // 2]
        asked = [
            Selection(sort=(*sort, *NEWEST_FIRST), limit=limit, tombstones=tombstones, filters=filters)
            for limit in (None, 2, 3, 7)
            for tombstones in (True, False)
            for filters in ((), (Filter("last_modified", Operator.GT, middle),), (Filter("f", Operator.HAS, True),))
        ]
        asked += [
            Selection(sort=(Sort("last_modified", down),), limit=limit, after=(after,))
            for limit in (None, 2, 9)
            for after in (middle, middle + 0.5, "0", None)
            for down in (True, False)
        ]

        assert await differences(database, objects, asked) == []

    async def test_a_page_has_what_the_unit_itself_changed_in_it(self, database: RedisDatabase) -> None:
        objects = await fill(database, [{"f": n} for n in range(8)])
        async with database.begin([RECORDS]) as unit:
            await unit.storage.delete(RECORDS, ["r007", "r005"])
            moved = await unit.storage.put(RECORDS, "r004", "{}")
            kept = {each.id: each for each in objects if not each.deleted}

            found = await unit.storage.list(RECORDS, Selection(limit=3))
            total = await unit.storage.count(RECORDS)

        assert found == [moved, kept["r006"], kept["r003"]]
        assert total == 6


class TestServer:
    """A server that goes, comes, forgets and refuses."""

    async def test_a_script_that_the_server_forgot_is_loaded_again(self, database: RedisDatabase, raw: Redis) -> None:
        await put(database, "r1")
        await raw.script_flush()

        assert await put(database, "r2") == await get(database, "r2")

    async def test_o1_a_server_that_is_down_is_waited_for(self, own_server: Valkey, clock: Clock) -> None:
        """O1."""
        database = RedisDatabase(own_server.url(), clock)
        await database.open()

        assert not await database.check()
        with pytest.raises(BackendUnavailable, match="Connect call failed"):
            await put(database, "r1")

        own_server.start()
        assert await database.check()
        assert await put(database, "r1") == await get(database, "r1")
        await database.close()

    async def test_o2_a_server_that_restarts_is_found_again(self, own_server: Valkey, clock: Clock) -> None:
        """O2: also where it has lost everything: the epoch then is a later one."""
        own_server.start()
        database = RedisDatabase(own_server.url(), clock)
        await database.open()
        await asyncio.gather(*(put(database, f"r{n}", place=Place("record", f"/{n}")) for n in range(10)))
        await asyncio.to_thread(own_server.restart)
        clock.now += 1000

        for attempt in attempts():
            async with attempt, database.begin([RECORDS]) as unit:
                written = await unit.storage.put(RECORDS, "r1", "{}")

        assert written.last_modified > clock.now
        await database.close()

    async def test_c16_a_commit_without_an_answer_is_not_tried_again(
        self, own_server: Valkey, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """C16: it was applied, or it was not; nobody knows."""
        monkeypatch.setattr("kobako.databases.redis_server.ANSWER_TIMEOUT_S", 0.5)
        own_server.start()
        database = RedisDatabase(own_server.url(), clock)
        await database.open()

        with unavailable() as failure:
            async with database.begin([RECORDS]) as unit:
                written = await unit.storage.put(RECORDS, "r1", "{}")
                assert own_server.process
                own_server.process.send_signal(signal.SIGSTOP)

        own_server.process.send_signal(signal.SIGCONT)
        assert not isinstance(failure.value, TryAgain)
        await asyncio.sleep(0.1)
        assert await read(database) in ([], [written])
        await database.close()

    @pytest.mark.parametrize("refusal", ["full", "a replica"])
    async def test_a_server_that_refuses_writes_is_not_well_and_keeps_nothing(
        self, own_server: Valkey, clock: Clock, refusal: str
    ) -> None:
        own_server.start()
        database = RedisDatabase(own_server.url(), clock)
        await database.open()
        written = await put(database, "r1")
        async with Redis.from_url(own_server.url()) as raw:
            if refusal == "full":
                await raw.config_set("maxmemory", "1")
            else:
                await raw.config_set("replica-serve-stale-data", "yes")
                await raw.replicaof("127.0.0.1", 1)

        assert not await database.check()
        with unavailable():
            async with database.begin([RECORDS]) as unit:
                await unit.storage.delete(RECORDS, ["r1"])
                await unit.storage.put(RECORDS, "r2", "{}")

        assert await read(database, tombstones=True) == [written]
        await database.close()

    @pytest.mark.parametrize("own_server", [("--requirepass", "sesame")], indirect=True)
    async def test_a_password_is_used_and_not_shown(
        self, own_server: Valkey, clock: Clock, caplog: pytest.LogCaptureFixture
    ) -> None:
        own_server.start()
        right, wrong = (own_server.url().replace("//", f"//:{each}@") for each in ("sesame", "pumpkin"))
        database, closed = RedisDatabase(right, clock), RedisDatabase(wrong, clock)
        await database.open()
        await closed.open()

        await put(database, "r1")
        with pytest.raises(BackendUnavailable, match=r"redis://:\*\*\*@127") as failure:
            await put(closed, "r1")

        assert "pumpkin" not in caplog.text + str(failure.value)
        assert "sesame" not in caplog.text
        await database.close()
        await closed.close()

    @pytest.mark.parametrize("url", ["http://localhost", "redis://localhost?socket_timeout=soon"])
    async def test_a_url_that_is_none_is_told(self, clock: Clock, url: str) -> None:
        with pytest.raises(UnfitDatabase, match="localhost"):
            await RedisDatabase(url, clock).open()

    async def test_a_layout_of_a_later_version_is_refused(
        self, database: RedisDatabase, neighbour: RedisDatabase, raw: Redis
    ) -> None:
        await raw.hset(database.keys.meta, "layout", "2")
        await neighbour.close()

        with pytest.raises(UnfitDatabase, match="layout 2"):
            await neighbour.open()

    async def test_a_socket_of_the_file_system_will_do(self, own_server: Valkey, clock: Clock) -> None:
        own_server.options = ("--unixsocket", "redis.sock")
        own_server.start()
        database = RedisDatabase(f"unix://{own_server.folder}/redis.sock", clock)

        assert await database.migrate() == [f"began a database on unix://{own_server.folder}/redis.sock"]
        assert await database.migrate() == []

    async def test_a_cluster_keeps_everything_on_one_node(self, own_server: Valkey, clock: Clock) -> None:
        own_server.options = ("--cluster-enabled", "yes", "--cluster-port", str(free_port()))
        own_server.start()
        database = RedisDatabase(own_server.url(), clock, prefix="blog:")
        async with Redis.from_url(own_server.url(), decode_responses=True) as raw:
            await make_cluster(raw)
            await database.open()

            async with database.begin([RECORDS, OTHERS]) as unit:
                for place in (RECORDS, OTHERS):
                    await unit.storage.put(place, "r1", "{}")
                    await unit.permission.replace(place.parent, {"read": ["alice"]})
                await unit.permission.join("/buckets/b/groups/g", ["alice"])
            await delete(database, "r1")
            assert ids(await read(database, OTHERS)) == ["r1"]
            assert await database.check()

            slots = {key_slot(key.encode()) async for key in raw.scan_iter()}
            await database.flush()
        await database.close()
        assert slots == {key_slot(b"{blog:kobako}")}


SETTINGS = {"save": "", "appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction"}
UNTOLD = dict.fromkeys(SETTINGS)


@pytest.mark.parametrize(
    ("info", "settings", "said"),
    [
        pytest.param({}, {}, [], id="all is well"),
        pytest.param({}, {"maxmemory-policy": "allkeys-lru"}, ["WARNING maxmemory-policy is allkeys-lru"], id="evicts"),
        pytest.param({}, {"appendfsync": "everysec"}, ["INFO appendfsync is everysec"], id="every second"),
        pytest.param({}, {"appendfsync": "no"}, ["INFO appendfsync is no"], id="now and then"),
        pytest.param({}, {"appendonly": "no"}, ["WARNING nothing is kept on disk"], id="not persistent"),
        pytest.param({}, {"appendonly": "no", "save": "60 1"}, ["WARNING there are only snapshots"], id="snapshots"),
        pytest.param({"role": "slave"}, {}, ["WARNING this is a replica"], id="a replica"),
        pytest.param(
            {"aof_enabled": 1, "maxmemory_policy": "noeviction"}, UNTOLD, ["WARNING appendfsync could not be checked"],
            id="settings are not told",
        ),
        pytest.param(
            {}, UNTOLD, ["WARNING maxmemory-policy could not be checked", "WARNING persistence could not be checked"],
            id="nothing is told",
        ),
    ],
)  # fmt: skip
def test_what_endangers_data_is_said(info: dict[str, Any], settings: dict[str, str | None], said: list[str]) -> None:
    found = [f"{logging.getLevelName(level)} {text}" for level, text in findings(info, {**SETTINGS, **settings})]

    assert [each[: len(start)] for each, start in zip(found, said, strict=True)] == said


@pytest.mark.parametrize(
    ("own_server", "said"),
    [
        pytest.param(DURABLE, "", id="durable"),
        pytest.param(("--maxmemory-policy", "volatile-ttl"), "maxmemory-policy is volatile-ttl", id="evicts"),
        pytest.param((*DURABLE, "--rename-command", "CONFIG", ""), "appendfsync could not be checked", id="no CONFIG"),
    ],
    indirect=["own_server"],
)
async def test_a_server_is_looked_at_when_the_database_is_opened(
    own_server: Valkey, clock: Clock, caplog: pytest.LogCaptureFixture, said: str
) -> None:
    own_server.start()
    database = RedisDatabase(own_server.url(), clock)

    await database.open()

    assert (said in caplog.text) if said else not caplog.records
    await database.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_no_contract_hides_a_test_of_another() -> None:
    names = [name for each in TestRedisDatabase.__mro__ for name in vars(each) if name.startswith("test_")]

    assert sorted(names) == sorted(set(names))
