"""What docs/accounts.md shows runs as written, with the configuration that it shows."""

import doctest
import re
import sys
from pathlib import Path

import pytest
from tests.docs.test_readme import run
from tests.server.process import running

from kobako.plugins.accounts import options
from kobako.settings.fields import Settings
from kobako.settings.options import read_options

PAGE = (Path(__file__).parents[2] / "docs/accounts.md").read_text()


@pytest.mark.server
def test_the_page_shows_what_happens(tmp_path: Path) -> None:
    [ini] = re.findall(r"^```ini\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    [console] = re.findall(r"^```console\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    (tmp_path / "kobako.ini").write_text(ini)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "kobako").write_text(f'#!/bin/sh\nexec {sys.executable} -m kobako "$@"\n')
    (tmp_path / "bin" / "kobako").chmod(0o755)
    checker = doctest.OutputChecker()

    with running(tmp_path) as server:
        for example in re.split(r"^\$ ", console, flags=re.MULTILINE)[1:]:
            command, _, expected = example.partition("\n")
            printed = run(command.replace(":8888/", f":{server.port}/"), tmp_path, stand_in=True)

            assert checker.check_output(expected, printed, doctest.ELLIPSIS), f"{command}\nprinted {printed}"


def test_the_page_has_every_setting_with_its_default() -> None:
    kinds = {"account": ("_", options.Options), "account_validation": (".", options.Validation)}
    for plugin, (separator, kind) in kinds.items():
        defaults = read_options(Settings(), plugin, kind, separator)
        for name in kind.__struct_fields__:
            shown = f"account_{name}" if plugin == "account" else name
            value = getattr(defaults, name)
            [row] = [line for line in PAGE.splitlines() if f"`{shown}`" in line and line.startswith("| ")]
            assert (str(value).lower() if isinstance(value, bool) else str(value)) in row, name
