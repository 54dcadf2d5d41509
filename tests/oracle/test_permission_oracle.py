"""The server decides as a naive model of the tables does, and shows nobody what they may not see.

Source: objects, 2, 10.2, 11, 14 and 17; HTTP API, 5; reliability, 3 (area D), P1 to P3, P13 to P18, P20, P24, A10.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.oracle.backends import Make
from tests.oracle.permissions import figures, run

SEED = 1

EMBEDDED = ("memory", "sqlite")
BACKENDS = (*EMBEDDED, *(pytest.param(each, marks=pytest.mark.server) for each in ("postgresql", "redis")))


@pytest.mark.parametrize("backend", BACKENDS)
async def test_the_server_decides_as_the_tables_say(backend: str, tmp_path: Path, make: Make | None) -> None:
    print(figures(await run(500, SEED, backend, tmp_path, make=make)))


@pytest.mark.parametrize("backend", EMBEDDED)
async def test_the_alias_of_a_bucket_opens_what_its_id_does(backend: str, tmp_path: Path) -> None:
    """Objects, 10.2: a request to the default bucket is handled as if for the real one."""
    print(figures(await run(500, SEED, backend, tmp_path, has_alias=True)))


@pytest.mark.parametrize("backend", BACKENDS)
async def test_accounts_histories_and_files_are_for_whom_they_are(
    backend: str, tmp_path: Path, make: Make | None
) -> None:
    """Objects, 11.5, 14.3 and 17.2, with every plugin on: who logs in by an account, and what is recorded of whom."""
    print(figures(await run(800, SEED, backend, tmp_path, has_plugins=True, make=make)))


@pytest.mark.slow
@pytest.mark.parametrize(("backend", "decisions"), [("memory", 14_000), ("sqlite", 6_000)])
async def test_the_server_decides_as_the_tables_say_20_000_times(
    backend: str, decisions: int, tmp_path: Path, record_property: Callable[[str, Any], None]
) -> None:
    seen = await run(decisions, 1_000, backend, tmp_path)

    assert sum(seen.values()) >= decisions
    record_property("figures", f"{figures(seen)}; 0 mismatches")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("backend", "decisions"),
    [
        ("memory", 8_000),
        ("sqlite", 4_000),
        *(pytest.param(each, 2_000, marks=pytest.mark.server) for each in ("postgresql", "redis")),
    ],
)
async def test_with_every_plugin_on_it_decides_so_16_000_times(
    backend: str, decisions: int, tmp_path: Path, make: Make | None, record_property: Callable[[str, Any], None]
) -> None:
    seen = await run(decisions, 2_000, backend, tmp_path, has_plugins=True, make=make)

    assert sum(seen.values()) >= decisions
    record_property("figures", f"{figures(seen)}; 0 mismatches")
