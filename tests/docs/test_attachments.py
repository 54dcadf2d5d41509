"""The page about attachments: its commands run as written, and it has each setting."""

import doctest
import shutil
from pathlib import Path

import msgspec
import pytest
from tests.docs.test_readme import examples, run
from tests.server.process import running

from kobako.plugins.attachments.options import Options, Rules

PAGE = Path(__file__).parents[2] / "docs" / "attachments.md"
TABLES = ("aws", "gcloud", "azure", "extra")


@pytest.mark.server
@pytest.mark.parametrize("stand_in", [pytest.param(not shutil.which("curl"), id="curl"), True])
def test_the_page_shows_what_happens(tmp_path: Path, stand_in: bool) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"photo")
    environ = {"KOBAKO_INCLUDES": "attachments", "KOBAKO_ATTACHMENT_BASE_PATH": str(tmp_path / "files")}
    shown = examples(PAGE)
    with running(tmp_path, environ=environ) as server:
        for command, expected in shown:
            printed = run(command.replace(":8888/", f":{server.port}/"), tmp_path, stand_in=stand_in)

            is_shown = doctest.OutputChecker().check_output(expected or "\n", printed, doctest.ELLIPSIS)
            assert is_shown, f"{command}: {printed}"
    assert len(shown) == 6
    assert (tmp_path / "copy.jpg").read_bytes() == b"photo"


@pytest.mark.parametrize("name", [each for each in Options.__struct_fields__ if each not in TABLES])
def test_each_setting_is_described(name: str) -> None:
    assert f"| `{name}" in PAGE.read_text()


@pytest.mark.parametrize(
    "name",
    [f"{table}.{field}" for table in TABLES for field in msgspec.structs.asdict(getattr(Options(), table))],
)
def test_each_setting_of_a_store_is_described(name: str) -> None:
    table, _, field = name.partition(".")
    page = PAGE.read_text()

    assert f"`{name}`" in page or any(f"`.{field}`" in line for line in page.splitlines() if f"`{table}." in line)


@pytest.mark.parametrize("name", Rules.__struct_fields__)
def test_each_rule_of_a_place_is_described(name: str) -> None:
    [line] = [line for line in PAGE.read_text().splitlines() if line.startswith("| `resources.")]

    assert f"`{name}`" in line
