"""The server decides as a naive model of the tables does, and shows nobody what they may not see.

Source: objects, 2; HTTP API, 5; reliability, 3 (area D), P1 to P3, P13 to P16, P18, P20, P24.
"""

from pathlib import Path

import pytest
from tests.oracle.permissions import figures, run

SEED = 1


@pytest.mark.parametrize("backend", ["memory", "sqlite"])
async def test_the_server_decides_as_the_tables_say(backend: str, tmp_path: Path) -> None:
    print(figures(await run(500, SEED, backend, tmp_path)))


@pytest.mark.parametrize("backend", ["memory", "sqlite"])
async def test_the_alias_of_a_bucket_opens_what_its_id_does(backend: str, tmp_path: Path) -> None:
    """Objects, 10.2: a request to the default bucket is handled as if for the real one."""
    print(figures(await run(500, SEED, backend, tmp_path, has_alias=True)))


@pytest.mark.slow
@pytest.mark.parametrize(("backend", "decisions"), [("memory", 14_000), ("sqlite", 6_000)])
async def test_the_server_decides_as_the_tables_say_20_000_times(
    backend: str, decisions: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = await run(decisions, 1_000, backend, tmp_path)

    assert sum(seen.values()) >= decisions
    with capsys.disabled():
        print(f"\npermission oracle on {backend}: {figures(seen)}; 0 mismatches")
