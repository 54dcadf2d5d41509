"""Fields of which no two objects of a list have the same value are looked up by an index, however long the list is."""

from typing import Any

import pytest
from examples import forest
from tests.conftest import SETTINGS

from kobako.protocol import jsontext
from kobako.storage import sql
from kobako.testing.client import Client

OTHERS = 2000
EXPLAIN = {"sqlite": "EXPLAIN QUERY PLAN", "postgresql": "EXPLAIN"}


@pytest.mark.parametrize("backend", ["sqlite", pytest.param("postgresql", marks=pytest.mark.server)], indirect=True)
async def test_an_index_leads_to_the_object_with_the_same_value(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[sql.Statement] = []

    def page(*args: Any) -> sql.Statement:
        asked.append(compiled(*args))
        return asked[-1]

    async def run(statement: str, *values: Any) -> list[Any]:
        """Run a statement on the database of the app."""
        async with database.begin([place]) as unit:
            session: Any = unit.session
            return list(
                session.run(statement, values) if backend == "sqlite" else await session.run(statement, *values)
            )

    async with Client(forest.app(SETTINGS)) as client:
        database: Any = client.app.site.backends.database
        place = forest.MUSHROOM.target("/mushrooms").of((await client.get("/")).json["user"]["id"]).place
        for name in ("cep", "morel"):
            await client.post("/mushrooms", data={"name": name})
        async with database.begin([place]) as unit:
            for number in range(OTHERS):
                await unit.storage.put(place, f"n{number}", jsontext.encode({"name": f"name {number}"}))
        await run("ANALYZE objects")
        compiled = sql.page
        monkeypatch.setattr(sql, "page", page)

        taken = await client.post("/mushrooms", data={"name": "morel"})
        free = await client.post("/mushrooms", data={"name": "chanterelle"})
        first = await client.as_user("bob").post("/mushrooms", data={"name": "morel"})

        assert [each.status for each in (taken, free, first)] == [409, 201, 201]
        for statement, values in asked[:2]:
            plan = "\n".join(str(row[-1]) for row in await run(f"{EXPLAIN[backend]} {statement}", *values))
            # Of a partition the index is called by its columns.
            assert "objects_by_key1" in plan or "_key1_idx" in plan, plan
            assert "Seq Scan" not in plan
            assert "SCAN o" not in plan
