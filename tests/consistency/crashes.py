"""Losses of power, by the hundred: whatever was acknowledged is there after each, and the file is sound.

An app in this process writes to a database on a disk that loses power at random moments: then a copy is made of what
the disk would hold, and looked at, while the app goes on.

    python -m tests.consistency.crashes --crashes 20000 --seed 1

Source: reliability, section 3, H; C13, C25, O5.
"""

import argparse
import asyncio
import itertools
import random
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

import apsw
from tests.consistency.powerloss import ORDINARY, Disk, PowerLossVFS
from tests.consistency.rules.base import Finding

from kobako.app import App
from kobako.databases import sqlite_writer
from kobako.resources import RESOURCES
from kobako.settings import Settings
from kobako.testing.client import Client

RECORDS = "/buckets/b/collections/c/records"
WRITERS = 6
IDS = 40
CHECKPOINT_PAGES = 60
"""Less than in production: checkpoints are moments of their own."""

CHANGES_BETWEEN = 40
"""How often something is written to the disk from one loss of power to the next, at most."""

_names = (f"powerloss-{number}" for number in itertools.count())


@dataclass
class Crashes:
    """The crashes of a run: how many, what was acknowledged until now, and what was found."""

    wanted: int
    chance: random.Random
    folder: Path
    done: int = 0
    checked: int = 0
    findings: list[Finding] = field(default_factory=list)
    acknowledged: list[tuple[str, int]] = field(default_factory=list)
    _next: int = 1

    def __post_init__(self) -> None:
        self.disk = Disk(self.folder / "disk", self.perhaps)
        self.disk.folder.mkdir()

    @property
    def is_over(self) -> bool:
        """Whether there were enough."""
        return self.done >= self.wanted

    def perhaps(self) -> None:
        """Lose power, if it is time: called before each change on the disk."""
        self._next -= 1
        if self._next > 0 or self.is_over or not self.acknowledged:
            return
        self._next = self.chance.randint(1, CHANGES_BETWEEN)
        self.done += 1
        # What is acknowledged while the copy is made, need not be in it.
        acknowledged = len(self.acknowledged)
        with tempfile.TemporaryDirectory(dir=self.folder) as copy:
            self.disk.lose_power(Path(copy), self.chance)
            self._judge(Path(copy) / "kobako.db", acknowledged)

    def _judge(self, path: Path, acknowledged: int) -> None:
        """Recover the copy, as a server that starts would, and look for all that was acknowledged."""
        latest: dict[str, int] = {}
        for id, version in self.acknowledged[:acknowledged]:
            latest[id] = max(version, latest.get(id, 0))
        self.checked += len(latest)
        try:
            connection = apsw.Connection(str(path), vfs=ORDINARY)
            sound = connection.execute("PRAGMA integrity_check").get
            found = dict(connection.execute("SELECT id, last_modified FROM objects").fetchall())
            tokens = connection.execute("SELECT id, data ->> 'by' FROM objects WHERE id LIKE 'pair-%'").fetchall()
            connection.close()
        except apsw.Error as error:
            self.findings.append(Finding("O5", f"crash {self.done}: {error!r}"))
            return
        if sound != "ok":
            self.findings.append(Finding("O5", f"crash {self.done}: {sound}"))
        lost = {id: version for id, version in latest.items() if found.get(id, 0) < version}
        if lost:
            self.findings.append(Finding("C25", f"crash {self.done}: {len(lost)} writes are lost, as {lost.popitem()}"))
        batches = Counter(token for _, token in tokens)
        if halves := [token for token, count in batches.items() if count != 2]:
            self.findings.append(Finding("C13", f"crash {self.done}: half of the batches {halves}"))


async def run(crashes: int, seed: int, folder: Path) -> Crashes:
    """Write until power was lost so often, in an empty folder; return what was found."""
    made = Crashes(crashes, random.Random(seed), folder)
    url = f"sqlite:///{made.disk.folder / 'kobako.db'}"
    settings = Settings(
        storage_url=url, permission_url=url, cache_backend="memory", cache_url="", userid_hmac_secret="a secret"
    )
    vfs = PowerLossVFS(next(_names), made.disk, is_default=True)
    try:
        with mock.patch.object(sqlite_writer, "CHECKPOINT_PAGES", CHECKPOINT_PAGES):
            async with Client(App(settings, RESOURCES)) as client:
                await client.put("/buckets/b")
                await client.put("/buckets/b/collections/c")
                await asyncio.gather(*(_write(client, made, f"w{n}") for n in range(WRITERS)))
    finally:
        apsw.set_default_vfs(ORDINARY)
        vfs.unregister()
    return made


async def _write(client: Client, made: Crashes, name: str) -> None:
    """Put, delete, and put pairs in batches, until there were enough crashes."""
    for number in itertools.count():
        if made.is_over:
            return
        data = {"by": f"{name}-{number}", "filler": "x" * made.chance.choice([0, 5000])}
        path = f"{RECORDS}/r{made.chance.randrange(IDS)}"
        match made.chance.choices(["put", "delete", "batch"], [7, 1, 2]):
            case ["put"]:
                bodies = [(await client.put(path, data=data)).json]
            case ["delete"]:
                bodies = [(await client.delete(path)).json]
            case _:
                halves = [f"{RECORDS}/pair-{name}-{half}" for half in ("one", "other")]
                parts = [{"method": "PUT", "path": half, "body": {"data": data}} for half in halves]
                bodies = [each["body"] for each in (await client.batch(*parts)).json["responses"]]
        # What is not there cannot be deleted: 404.
        written = [each["data"] for each in bodies if "data" in each]
        made.acknowledged += ((each["id"], each["last_modified"]) for each in written)


def main() -> None:
    """Run from the command line; ends with 1 when something was found."""
    parser = argparse.ArgumentParser(description="Lose power again and again, and look what is left.")
    parser.add_argument("--crashes", type=int, default=300)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        made = asyncio.run(run(options.crashes, options.seed, Path(folder)))
    print(
        *made.findings[:20],
        f"{made.done} losses of power, seed {options.seed}: {made.checked} acknowledged writes looked for, "
        f"{len(made.findings)} findings",
        sep="\n",
    )
    sys.exit(bool(made.findings))


if __name__ == "__main__":
    main()
