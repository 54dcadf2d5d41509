"""`kobako webhooks`: what waits and what was given up, listed, queued again, dropped."""

import asyncio
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tests.listeners.hooks import SECRET
from tests.listeners.receiver import Receiver

from kobako import stock
from kobako.cli import cli
from kobako.listeners.webhook.queue import Queue
from kobako.server import stock_app
from kobako.testing.client import Client

NAMED = "kobako.event_listeners = hook\n"

Run = Callable[..., Result]

INI = f"""\
[app:main]
kobako.userid_hmac_secret = a-long-and-random-text
kobako.multiauth.policies = basicauth
kobako.event_listeners = hook
kobako.event_listeners.hook.use = webhook
kobako.event_listeners.hook.url = URL
kobako.event_listeners.hook.secret = {SECRET}
kobako.event_listeners.hook.allow_private = true
kobako.event_listeners.hook.max_attempts = 1
"""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command in an empty folder."""
    monkeypatch.chdir(tmp_path)
    for name in stock.INI_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    return lambda *arguments: CliRunner().invoke(cli, arguments)


async def give_up(*buckets: str) -> None:
    """Create buckets, and try once to tell of each."""
    async with Client(stock_app(stock.load(Path("kobako.ini"), {}))) as client:
        queue = Queue("hook", client.app.site.backends.database)
        for bucket in buckets:
            await client.put(f"/buckets/{bucket}")
        async with asyncio.timeout(20):
            while True:
                if len(await queue.dead()) == len(buckets):
                    return
                await asyncio.sleep(0.01)


def test_what_was_given_up_is_listed_and_queued_again_or_dropped(run: Run) -> None:
    with Receiver(lambda _: 500) as receiver:
        Path("kobako.ini").write_text(INI.replace("URL", receiver.url))
        asyncio.run(give_up("a", "b", "c"))

    dead = run("webhooks", "list", "--dead").stdout.splitlines()
    ids = [line.split()[0] for line in dead]
    assert sorted(line.partition("  ")[2] for line in dead) == [
        f"1 attempts  create /buckets/{each}  (status 500)" for each in "abc"
    ]
    assert run("webhooks", "list").stdout == ""

    assert run("webhooks", "replay", ids[0]).exit_code == 0
    assert re.fullmatch(rf"{ids[0]}  0 attempts  create /buckets/\w\n", run("webhooks", "list").stdout)
    assert run("webhooks", "drop", ids[0], ids[1]).exit_code == 0
    assert run("webhooks", "list").stdout == ""
    assert [each.split()[0] for each in run("webhooks", "list", "--dead").stdout.splitlines()] == [ids[2]]

    assert run("webhooks", "replay", "--all").exit_code == 0
    assert run("webhooks", "list", "--dead").stdout == ""
    assert len(run("webhooks", "list").stdout.splitlines()) == 1


@pytest.mark.parametrize(
    ("changed", "arguments", "message"),
    [
        ("", ("drop", "x"), "There is no such event: x."),
        ("", ("replay", "x", "y"), "There is no such event: x, y."),
        ("kobako.storage_backend = memory\n", ("list",), "only the server itself sees what is in it."),
        ("kobako.event_listeners =\n", ("list",), "Setting 'event_listeners' names no webhook."),
    ],
)
def test_what_cannot_be_done_is_said(run: Run, changed: str, arguments: tuple[str, ...], message: str) -> None:
    ini = INI.replace("URL", "https://example.com/hook")
    Path("kobako.ini").write_text(ini.replace(NAMED, changed or NAMED))
    run("migrate")

    result = run("webhooks", *arguments)

    assert (result.exit_code, result.stderr.splitlines()[-1].endswith(message)) == (1, True), result.stderr


def test_ids_or_all_have_to_be_said(run: Run) -> None:
    Path("kobako.ini").write_text(INI)

    assert [run("webhooks", "replay", *each).exit_code for each in ((), ("x", "--all"))] == [2, 2]
