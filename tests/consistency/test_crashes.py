"""Power is lost: what was acknowledged is there, batches are whole, the file is sound; and the test of it can fail."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.consistency import crashes
from tests.consistency.powerloss import SECTOR, Disk

from kobako.databases import sqlite

CRASHES = 300


def left(disk: Disk, folder: Path, seed: int) -> bytes:
    """Return what a loss of power leaves of the only file of a disk."""
    disk.lose_power(folder, random.Random(seed))
    return (folder / "file").read_bytes()


@pytest.mark.slow
async def test_what_was_acknowledged_is_there_after_a_loss_of_power(
    tmp_path: Path, record_property: Callable[[str, Any], None]
) -> None:
    made = await crashes.run(CRASHES, 1, tmp_path)

    record_property("figures", f"{made.done} losses of power, {made.checked} acknowledged writes looked for")
    assert made.findings == []
    assert made.done == CRASHES
    assert made.checked > CRASHES


@pytest.mark.slow
@pytest.mark.parametrize("level", ["NORMAL", "OFF"])
async def test_without_a_sync_at_each_commit_writes_are_lost(
    level: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pragmas = [each.replace("synchronous = FULL", f"synchronous = {level}") for each in sqlite.PRAGMAS]
    assert pragmas != list(sqlite.PRAGMAS)
    monkeypatch.setattr(sqlite, "PRAGMAS", pragmas)

    made = await crashes.run(30, 1, tmp_path)

    assert "C25" in {each.case for each in made.findings}


def test_what_was_synced_is_left_and_of_the_rest_any_part(tmp_path: Path) -> None:
    disk = Disk(tmp_path)
    disk.change("file", (0, b"a" * 4 * SECTOR))
    disk.sync("file")
    disk.change("file", (SECTOR, b"b" * 2 * SECTOR))

    found = {left(disk, tmp_path, seed) for seed in range(200)}

    a, b = b"a" * SECTOR, b"b" * SECTOR
    assert found == {a * 4, a + b + b + a, a + b + a + a}


def test_a_file_that_was_cut_may_be_left_as_it_was(tmp_path: Path) -> None:
    disk = Disk(tmp_path)
    disk.change("file", (0, b"long"))
    disk.sync("file")
    disk.change("file", 2)

    assert {left(disk, tmp_path, seed) for seed in range(100)} == {b"long", b"lo"}
