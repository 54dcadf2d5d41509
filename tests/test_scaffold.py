"""`kobako new`: what it writes runs, and passes its tests."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from kobako.cli import cli


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def new(name: str) -> Result:
    return CliRunner().invoke(cli, ["new", name])


def test_a_project_passes_its_tests(here: Path) -> None:
    shell = "kobako new mushrooms && cd mushrooms && make test"
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    ours = ("PYTEST_", "MAKE", "MFLAGS", "PYTHON")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}

    done = subprocess.run(shell, shell=True, cwd=here, capture_output=True, text=True, env={**kept, "PATH": path})

    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout


def test_its_tests_need_no_activated_environment(here: Path) -> None:
    assert new("garden").exit_code == 0

    told = subprocess.run(
        ["make", "-n", "test"], cwd=here / "garden", capture_output=True, text=True, env={"PATH": "/usr/bin:/bin"}
    )

    assert f'"{sys.executable}" -m pytest' in told.stdout


def test_a_project_is_served_by_the_stock_server(here: Path) -> None:
    new("orchard")
    program = """
import asyncio, json
from kobako import App
from kobako.server import stock_app
from kobako.stock import find_ini, load
from kobako.testing.client import Client

async def main():
    async with Client(stock_app(load(find_ini({}), {}))) as client:
        made = await client.post("/notes", data={"title": "Milk"})
        print(json.dumps([made.status, (await client.get("/")).json["capabilities"]["orchard"]["description"]]))

asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=here / "orchard", capture_output=True, text=True)

    assert json.loads(done.stdout) == [201, "Keeps notes."], done.stderr


def test_the_kind_of_object_is_short_and_the_secret_is_for_its_owner(here: Path) -> None:
    new("garden")

    assert len((here / "garden/garden/__init__.py").read_text().splitlines()) < 40
    assert (here / "garden/kobako.ini").stat().st_mode & 0o777 == 0o600
    assert "NAME" not in "".join(path.read_text() for path in (here / "garden").rglob("*.*") if path.is_file())


@pytest.mark.parametrize("name", ["Garden", "two words", "class", "kobako", "../up", "9lives"])
def test_a_name_that_no_package_can_have_is_refused(here: Path, name: str) -> None:
    done = new(name)

    assert done.exit_code == 1
    assert f"'{name}' is no name of a Python package" in done.output
    assert [*here.iterdir()] == []


def test_nothing_is_overwritten(here: Path) -> None:
    (here / "garden").mkdir()

    assert new("garden").output == "garden already exists.\n"
