"""The version of a PostgreSQL: the same means that nothing was committed, whoever might have (S1, S10)."""

import asyncio
import random
from collections.abc import AsyncIterator, Hashable

import asyncpg
import pytest

from kobako.databases import postgresql_connections
from kobako.databases.base import BackendUnavailable, Foreseen, attempts
from kobako.databases.connections import Connections
from kobako.databases.postgresql import PostgreSQLDatabase
from kobako.storage.base import Place
from kobako.testing import Clock
from kobako.testing.fixtures import OTHERS, RECORDS, put, read

pytestmark = pytest.mark.server


@pytest.fixture
async def database(emptied: str) -> AsyncIterator[PostgreSQLDatabase]:
    database = PostgreSQLDatabase(emptied, Clock())
    await database.open()
    yield database
    await database.close()


def about(place: Place, *, is_all: bool = False, with_version: bool = True) -> Foreseen:
    """What somebody would ask who reads a list."""
    return Foreseen(
        user=None,
        principals=frozenset({"somebody"}),
        uris=(place.parent,),
        place=place,
        is_all=is_all,
        with_version=with_version,
    )


async def test_it_differs_with_each_commit_in_whatever_order_units_began(
    database: PostgreSQLDatabase, other: PostgreSQLDatabase
) -> None:
    versions = [await database.ask_version()]
    async with other.begin([RECORDS]) as first:
        await first.storage.put(RECORDS, "r1", "{}")
        async with other.begin([OTHERS]) as second:
            await second.storage.put(OTHERS, "r1", "{}")
            await put(database, "r1", place=Place("/buckets/b/collections/third", "record"))
            versions.append(await database.ask_version())
        versions.append(await database.ask_version())
    versions.append(await database.ask_version())
    connection = await asyncpg.connect(database._address._url)
    await connection.execute("UPDATE metadata SET value = value + 1 WHERE key = 'epoch'")
    await connection.close()
    versions.append(await database.ask_version())

    assert len({*versions}) == len(versions) == 5


async def test_it_stays_while_units_only_read_and_others_have_not_committed(
    database: PostgreSQLDatabase, other: PostgreSQLDatabase
) -> None:
    async with other.begin([RECORDS]) as unit:
        await unit.storage.put(RECORDS, "r1", "{}")
        # PostgreSQL itself may have had something to commit, but not all the time.
        versions = [await database.ask_version() for _ in range(10)]
        assert await read(database) == []
        versions += [await database.ask_version() for _ in range(10)]

    assert len({*versions}) <= 5


async def test_whatever_is_read_at_one_version_is_one_state(emptied: str) -> None:
    """S1: many write at once, of several workers; each unit tells of which version is what it reads."""
    workers = [PostgreSQLDatabase(emptied, Clock(), Connections(kept=6, wait_s=30)) for _ in range(2)]
    states, again, chance = dict[tuple[int, Hashable], str](), 0, random.Random(1)
    places = [Place(f"/buckets/b/collections/c{n}", "record") for n in range(3)]
    asked = about(places[0])
    is_over = False

    async def write(worker: PostgreSQLDatabase) -> None:
        for n in range(40):
            place = chance.choice(places)
            for attempt in attempts():
                async with attempt, worker.begin([place]) as unit:
                    await unit.storage.put(place, f"r{chance.randrange(4)}", f'{{"n":{n}}}')
                    await asyncio.sleep(chance.random() / 200)
            await asyncio.sleep(chance.random() / 50)

    async def follow(number: int, worker: PostgreSQLDatabase) -> None:
        nonlocal again
        while not is_over:
            async with worker.foresee(asked) as unit:
                rows = await unit.session.run("SELECT parent, id, last_modified FROM objects ORDER BY 1, 2")
            state = str([tuple(row) for row in rows])
            known = (number, await worker.ask_version())
            # There may be none at this version: then the next one is the same.
            again += known in states
            assert states.setdefault((number, unit.version), state) == state

    for worker in workers:
        await worker.open()
    try:
        following = [asyncio.ensure_future(follow(n, workers[n])) for n in (0, 0, 1, 1)]
        await asyncio.gather(*(write(workers[n % 2]) for n in range(6)))
        is_over = True
        await asyncio.gather(*following)
    finally:
        for worker in workers:
            await worker.close()
    assert len(states) > 10
    assert again > 10


@pytest.mark.parametrize("is_all", [True, False])
async def test_a_unit_that_reads_is_of_the_version_that_is_told_before_and_after(
    database: PostgreSQLDatabase, is_all: bool
) -> None:
    await put(database, "r1")
    asked = about(RECORDS, is_all=is_all)
    for _ in range(5):
        before = await database.ask_version()
        async with database.foresee(asked) as unit:
            version = unit.version
        if before == await database.ask_version():
            break
    assert version == before
    async with database.begin([OTHERS]) as writing:
        await writing.storage.put(OTHERS, "r1", "{}")
    async with database.foresee(asked) as unit:
        assert unit.version not in (before, None)


async def test_a_unit_that_was_not_asked_for_it_or_writes_has_no_version(database: PostgreSQLDatabase) -> None:
    async with database.foresee(about(RECORDS, with_version=False)) as unit:
        assert unit.version is None
    async with database.foresee(about(RECORDS), [RECORDS]) as unit:
        assert unit.version is None
    async with database.begin() as unit:
        assert unit.version is None


async def test_behind_a_pooler_nobody_can_tell(emptied: str) -> None:
    database = PostgreSQLDatabase(f"{emptied}?pooler=transaction", Clock())
    await database.open()
    async with database.foresee(about(RECORDS)) as unit:
        assert unit.version is None
    await database.close()


async def test_nor_where_other_servers_have_a_part_of_the_data(emptied: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # An extension that is everywhere stands for one of those.
    monkeypatch.setattr(postgresql_connections, "SPREADING", ["citus", "plpgsql"])
    database = PostgreSQLDatabase(emptied, Clock())
    await database.open()
    async with database.foresee(about(RECORDS)) as unit:
        assert unit.version is None
    await database.close()


async def test_a_connection_that_died_unused_troubles_nobody(database: PostgreSQLDatabase, emptied: str) -> None:
    async with database.begin() as unit:
        [(process,)] = await unit.session.run("SELECT pg_backend_pid()")
    connection = await asyncpg.connect(emptied)
    await connection.execute("SELECT pg_terminate_backend($1)", process)
    await connection.close()
    assert await database.ask_version()


async def test_of_a_database_that_is_closed_it_is_unavailable(database: PostgreSQLDatabase) -> None:
    await database.close()
    with pytest.raises(BackendUnavailable):
        await database.ask_version()
