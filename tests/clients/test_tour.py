"""The tour of `examples/tour.py`, as a newcomer takes it: against a real server, with its defaults, on SQLite."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pycountry
import pytest
from kinto_http import Client
from tests.server.process import running

pytestmark = pytest.mark.clients

TOUR = Path(__file__).parents[2] / "examples" / "tour.py"
SUBDIVISIONS = list(pycountry.subdivisions)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a server without any configuration."""
    with running(tmp_path_factory.mktemp("tour")) as server:
        yield server.url


@pytest.fixture(scope="module")
def account(url: str) -> str:
    """What the tour prints, of which it is the second: it can be taken again."""
    take(url)
    return take(url)


def take(url: str) -> str:
    done = subprocess.run([sys.executable, TOUR, url], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    return done.stdout


def in_countries(*countries: str) -> int:
    return sum(each.country_code in countries for each in SUBDIVISIONS)


def test_the_tour_tells_what_was_stored_found_changed_and_compared(account: str):
    counts = [int(each.replace(",", "")) for each in re.findall(r"^ +([\d,]+) .*\([\d,]+ ms\)$", account, re.MULTILINE)]

    everything, swiss, liechtenstein = len(SUBDIVISIONS), in_countries("CH"), in_countries("LI")
    assert everything > 5000
    assert counts == [
        everything,
        in_countries("FR"),
        sum(each.name.lower().endswith("shire") for each in SUBDIVISIONS),
        sum(each.country_code in ("AT", "IT", "CH") and each.type != "Canton" for each in SUBDIVISIONS),
        sum(each.parent_code is not None for each in SUBDIVISIONS),
        -(-everything // 1000),
        everything,
        swiss,
        swiss,
        liechtenstein,
        1,
        liechtenstein + 1,
        0,
        everything - liechtenstein + 1,
    ]


def test_the_tour_tells_who_is_refused_and_who_is_let_in(account: str):
    answers = re.findall(r": (\d{3} .*)$", account, re.MULTILINE)

    assert answers == ["403 Forbidden", "200 OK", "412 Precondition Failed"]


def test_the_tour_ends_with_two_equal_copies(account: str):
    assert account.endswith("The copy and the cold sync are equal, to the last attribute.\n")


def test_the_tour_shows_no_progress_where_nobody_watches(account: str):
    assert "storing" not in account


def test_the_server_holds_what_the_tour_says(account: str, url: str):
    alice = Client(server_url=url, auth=("alice", "alices-password"), bucket="tour", collection="subdivisions")

    stored = {each["id"]: (each["country"], each["name"], each.get("visited")) for each in alice.get_records()}

    expected = {
        each.code: (each.country_code, each.name, True if each.country_code == "CH" else None)
        for each in SUBDIVISIONS
        if each.country_code != "LI"
    }
    assert stored == expected | {"XX-MOON": ("XX", "Moon", None)}
