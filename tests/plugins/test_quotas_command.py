"""`kobako rebuild-quotas`: what it says, and its exit statuses. Source: objects, 26.2."""

import asyncio
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tests.api.sharing import B, C, R, create

from kobako import stock
from kobako.cli import cli
from kobako.plugins.quotas import usage
from kobako.server import stock_app
from kobako.testing.client import Client

Run = Callable[..., Result]


@pytest.fixture
def backend() -> str:
    """A file that the test and the command open, each for itself."""
    return "sqlite"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command in a folder where a bucket was stored before there were quotas."""
    monkeypatch.chdir(tmp_path)
    for name in stock.INI_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    write("")
    asyncio.run(_store())
    write("kobako.includes = quotas")
    return lambda *options, **environ: CliRunner().invoke(cli, ["rebuild-quotas", *options], env=environ)


def write(line: str) -> None:
    """Write the configuration, with a line of the test's own."""
    lines = "[app:main]", "multiauth.policies = basicauth", "userid_hmac_secret = only for tests", line
    Path("kobako.ini").write_text("\n".join(lines))


async def _store() -> None:
    async with Client(stock_app(stock.load(Path("kobako.ini"), {}))) as client:
        await create(client, B, C, R, f"{C}/records/s", f"{B}/collections/d", "/buckets/empty")


def stored() -> dict[str, usage.Usage]:
    """Return the counters of the bucket."""

    async def read() -> dict[str, usage.Usage]:
        app = stock_app(stock.load(Path("kobako.ini"), {}))
        async with app, app.site.backends.begin() as tx:
            return dict(await usage.read(tx.storage, usage.list_of("b")))

    return asyncio.run(read())


LINES = [
    r"Bucket b, collection c\. Final size: 2 records, \d+ bytes\.",
    r"Bucket b, collection d\. Final size: 0 records, \d+ bytes\.",
    r"Bucket b\. Final size: 2 collections, 2 records, \d+ bytes\.",
    r"Bucket empty\. Final size: 0 collections, 0 records, \d+ bytes\.",
]


def test_it_tells_what_is_in_each_bucket_and_collection(run: Run) -> None:
    result = run()

    assert result.exit_code == 0, result.output
    said = [each.removeprefix("INFO   ") for each in result.stderr.splitlines()]
    assert len(said) == len(LINES)
    for line, form in zip(said, LINES, strict=True):
        assert re.fullmatch(form, line.strip()), line
    assert stored()[usage.OF_BUCKET].record_count == 2


def test_a_dry_run_says_the_same_and_writes_nothing(run: Run) -> None:
    dry = run("--dry-run")

    assert stored() == {}
    assert dry.exit_code == 0
    assert dry.stderr == run().stderr


@pytest.mark.parametrize(
    ("line", "status", "message"),
    [
        ("kobako.includes = quotas\nkobako.readonly = true", 41, "Cannot rebuild quotas while in readonly mode."),
        ("", 42, "Cannot rebuild quotas when quotas plugin is not installed."),
        ("kobako.includes = quotas\nkobako.storage_backend = memory", 1, "Setting 'storage_backend' is 'memory'"),
    ],
)
def test_it_is_refused_where_it_makes_no_sense(run: Run, line: str, status: int, message: str) -> None:
    write(line)
    result = run()

    assert result.exit_code == status
    assert message in result.stderr
