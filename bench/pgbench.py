"""What PostgreSQL alone makes of a PUT: pgbench sends the statements that Kobako sends, as fast as it can.

The statements are those of one PUT of a record that Kobako has not read before, written down while a Kobako in this
process does it (where it has, it spares the first one). pgbench does what Kobako does
between them and no more: it takes the version of the list and adds one, and the mark by which it writes only if nobody
else has. Of several connections most find that somebody has: what counts is what is written.
"""

import asyncio
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import asyncpg
from tests.servers.daemon import run

from bench import dataset
from bench.contenders.kinto_api import login, records_of, uri_of
from bench.contenders.kobako import KobakoPostgreSQL
from bench.workloads import KEPT
from kobako import server, stock
from kobako.databases.postgresql_remembered import Remembered
from kobako.protocol import jsontext
from kobako.protocol.messages import Request

ID = dataset.id_of(7)
"""The record that is written while it is looked at; pgbench writes others in its place."""
OTHER = "'record' || lpad(:number::text, 9, '0')"

OF_LIST = "(CASE WHEN kind = 'list' THEN found END)::bigint"
MARK = "max(CASE WHEN kind = 'list' THEN mark END)"
NEXT = "\\set version :last_modified + 1"

COMPARED = re.compile(r"(xmin::text = )\$\d+")

SECONDS = 1

Statement = tuple[str, tuple[Any, ...]]


def prepare(kobako: KobakoPostgreSQL) -> Path:
    """Write the script for pgbench into the folder of PostgreSQL; return it."""
    statements, version = asyncio.run(_written_down(kobako))
    path = kobako.database.folder / "put.sql"
    path.write_text("\n".join(script(statements, version)))
    return path


def per_second(kobako: KobakoPostgreSQL, script: Path, connections: int) -> float:
    """Return how many PUTs a second pgbench gets through."""
    database = kobako.database
    options = ["--no-vacuum", "--protocol", "prepared", "--client", connections, "--jobs", min(connections, 2)]
    command = [database.program("pgbench"), *options, "--time", SECONDS, "--file", script, database.url(kobako.name)]
    before = _version(kobako)
    told = run([str(each) for each in command], database.user)
    assert "failed transactions: 0 " in told, told
    tried = int(told.partition("transactions actually processed: ")[2].split()[0])
    return float(told.partition("tps = ")[2].split()[0]) * (_version(kobako) - before) / tried


def _version(kobako: KobakoPostgreSQL) -> int:
    """Return the version of the list that is written: each PUT of pgbench adds one."""
    where = f"parent = '{uri_of('writes')}' AND resource = 'record'"
    return int(kobako.database.ask(f"SELECT last_modified FROM lists WHERE {where}", kobako.name))


async def _written_down(kobako: KobakoPostgreSQL) -> tuple[list[Statement], int]:
    """Return the statements of a PUT that replaces a record, with their values, and the version it came to."""
    statements: list[Statement] = []
    connect = asyncpg.connect

    async def listened(*arguments: Any, **options: Any) -> Any:
        connection = await connect(*arguments, **options)
        connection.add_query_logger(lambda each: statements.append((each.query, tuple(each.args))))
        return connection

    # As if it had not read the record before: else it would spare the first statement.
    with patch.object(asyncpg, "connect", listened), patch.object(Remembered, "recall", return_value=None):
        async with server.stock_app(stock.load(kobako.folder / "kobako.ini", {})) as app:
            body = jsontext.encode({"data": dataset.record(7)}).encode()
            headers = {each.lower(): value for each, value in login(dataset.OWNER).items()}
            request = Request(method="PUT", path=f"{records_of('writes')}/{ID}", headers=headers, body=body)
            for _ in range(2):
                # The first one makes a connection, with what is asked on that.
                statements.clear()
                answer = await app.answer(request)
                # Listeners are told of the last statement once the loop has its turn.
                await asyncio.sleep(0)
    assert answer.status == 200, answer
    version: int = jsontext.decode(answer.body)["data"]["last_modified"]
    return statements, version


def script(statements: Sequence[Statement], version: int) -> Iterator[str]:
    """Yield the lines of a script: values in their places, another record each time, the version after the last."""
    yield f"\\set number random(0, {KEPT - 1})"
    for sql, values in statements:
        if "'list'" in sql:
            # Among the answers is where the list stands: pgbench takes values from a single row.
            asked = f"({_filled(sql, values, version)}) AS asked (kind, found, b, c, d, mark)"
            yield f"SELECT max({OF_LIST}) AS last_modified, {MARK} AS mark FROM {asked} \\gset\n{NEXT}"
        else:
            compared = COMPARED.sub(r"\1:mark", sql)
            yield f"{_filled(compared, values, version)};"


def _filled(sql: str, values: tuple[Any, ...], version: int) -> str:
    return re.sub(r"\$(\d+)", lambda number: _literal(values[int(number[1]) - 1], version), sql)


def _literal(value: Any, version: int) -> str:
    if value == version:
        return ":version"
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, list | tuple):
        return f"ARRAY[{', '.join(_literal(each, version) for each in value)}]"
    return "NULL" if value is None else str(value)


def _text(value: str) -> str:
    # A colon may be the beginning of a variable.
    quoted = "E'" + value.replace("\\", "\\\\").replace("'", "''").replace(":", "\\x3a") + "'"
    return "(" + quoted.replace(ID, f"' || {OTHER} || E'") + ")" if ID in value else quoted
