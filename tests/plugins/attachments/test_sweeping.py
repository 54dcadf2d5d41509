"""The sweep of files that nobody has (reliability, A5), and its command."""

import os
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.plugins.attachments.sending import RECORD, file, stored, upload

from kobako import BackendUnavailable, Settings
from kobako.cli import cli
from kobako.plugins.attachments import options as reading
from kobako.plugins.attachments.opening import open_files
from kobako.plugins.attachments.sweeping import Swept, sweep
from kobako.testing.client import Client

DAY_S = 24 * 3600


async def swept(client: Client, settings: Settings, *, dry_run: bool = False) -> Swept:
    options = reading.read(settings)
    return await sweep(client.app.site.backends, open_files(options), options, dry_run=dry_run)


def age(folder: Path, seconds: int = DAY_S + 60) -> None:
    """Make all files of a folder older."""
    for path in folder.rglob("*"):
        if path.is_file():
            written = path.stat().st_mtime - seconds
            os.utime(path, (written, written))


def leave(folder: Path, *names: str) -> None:
    """Leave files that nobody has."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("orphan")


async def test_what_nobody_has_goes_once_it_is_old(client: Client, settings: Settings, folder: Path) -> None:
    await upload(client, file(content=b"1"))
    await upload(client, file(content=b"2"), url=f"{RECORD}/attachments/back")
    leave(folder, "b/c/orphan.txt", "elsewhere/claimed.txt", "b/c/cut.txt#1")
    assert await swept(client, settings) == Swept()
    age(folder)
    leave(folder, "b/c/new.txt", "b/c/new.txt#1")

    told = await swept(client, settings, dry_run=True)
    assert (sorted(told.orphans), len(told.unfinished)) == (["b/c/orphan.txt", "elsewhere/claimed.txt"], 1)
    assert len(stored(folder)) == 7

    assert await swept(client, settings) == told
    assert sorted(stored(folder).values()) == [b"1", b"2", b"orphan", b"orphan"]
    assert (await client.get(f"{RECORD}/attachments/back")).body == b"2"


async def test_what_a_record_of_another_server_says_counts(client: Client, settings: Settings, folder: Path) -> None:
    about = {"location": "b/c/from-kinto.txt", "filename": "a.txt"}
    await client.put(RECORD, {"attachment": about})
    await client.put(f"{RECORD}2", {"attachment": "mine", "attachments": {"x": {"location": "b/c/other.txt"}, "y": 1}})
    leave(folder, "b/c/from-kinto.txt", "b/c/other.txt", "b/c/orphan.txt")
    age(folder)

    assert (await swept(client, settings)).orphans == ["b/c/orphan.txt"]


@pytest.mark.parametrize("options", [{"base_url": "https://cdn.example/files/", "keep_old_files": "true"}])
async def test_what_is_kept_stays(client: Client, settings: Settings, folder: Path) -> None:
    await client.put(f"{RECORD}2", {"attachment": {"location": "https://cdn.example/files/b/c/theirs.txt"}})
    leave(folder, "b/c/theirs.txt")
    for content in (b"1", b"2"):
        await upload(client, file(content=content))
    await client.delete("/buckets/b/collections/c/records/r")
    age(folder)

    assert (await swept(client, settings)).orphans == []


@pytest.mark.parametrize("failure", [BackendUnavailable("cut off"), RuntimeError("defect")])
async def test_of_a_commit_that_fails_a_file_is_left_at_most(
    client: Client, settings: Settings, folder: Path, monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    """A5."""
    begin = client.app.site.backends.begin

    class Failing:
        def __init__(self, *arguments: object) -> None:
            self.beginning = begin(*arguments)

        async def __aenter__(self) -> object:
            return await self.beginning.__aenter__()

        async def __aexit__(self, *_: object) -> None:
            await self.beginning.__aexit__(type(failure), failure, None)
            raise failure

    await upload(client, file(content=b"old"))
    with monkeypatch.context() as patched:
        patched.setattr(
            client.app.site.backends,
            "begin",
            lambda lists=(), emptied=(): Failing(lists, emptied) if lists else begin(lists, emptied),
        )
        assert (await upload(client, file(content=b"new"))).status in (500, 503)

    # Whether a commit that was cut off is kept is not known: the file waits for the sweep.
    assert len(stored(folder)) == (2 if isinstance(failure, BackendUnavailable) else 1)
    age(folder)
    await swept(client, settings)
    assert list(stored(folder).values()) == [b"old"]
    assert (await client.get(f"{RECORD}/attachments/attachment")).body == b"old"


def test_the_command_sweeps(tmp_path: Path) -> None:
    folder, ini = tmp_path / "files", tmp_path / "kobako.ini"
    lines = ["[app:main]", "kobako.includes = attachments", f"kobako.attachment.base_path = {folder}"]
    lines += [f"kobako.storage_url = sqlite:///{tmp_path}/k.db", f"kobako.permission_url = sqlite:///{tmp_path}/k.db"]
    ini.write_text("\n".join([*lines, "kobako.userid_hmac_secret = abcdefghijklmnop"]))
    leave(folder, "b/c/orphan.txt")
    age(folder)
    run = CliRunner()
    assert run.invoke(cli, ["migrate", "--ini", str(ini)]).exit_code == 0

    told = run.invoke(cli, ["sweep-attachments", "--ini", str(ini), "--dry-run"])
    assert (told.exit_code, len(stored(folder))) == (0, 1), told.output

    assert run.invoke(cli, ["sweep-attachments", "--ini", str(ini)]).exit_code == 0
    assert stored(folder) == {}
