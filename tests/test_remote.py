"""Other servers are asked within limits. Source: objects, 15.3; docs/toolkit.md."""

import gzip
import logging
from collections.abc import AsyncIterator, Iterator

import pytest
from tests.servers.answering import Answered, AnsweringServer, Asked

from kobako import NoAnswer, Remote, SettingsError


class Echo(AnsweringServer):
    """Answers with what it was asked."""

    def answer(self, asked: Asked) -> Answered:
        match asked.path:
            case "/moved":
                return 302, {}, {"Location": f"{self.url}/there"}
            case "/packed":
                return 200, gzip.compress(b"x" * 10_000_000), {"Content-Encoding": "gzip"}
        return 200, {"given": asked.given, "headers": asked.headers}, {}


@pytest.fixture
def server() -> Iterator[Echo]:
    with Echo() as server:
        yield server


@pytest.fixture
async def remote() -> AsyncIterator[Remote]:
    remote = Remote(max_bytes=100_000)
    yield remote
    await remote.close()


async def test_a_server_is_asked_for_json(server: Echo, remote: Remote) -> None:
    got = (await remote.get(f"{server.url}/?a=1", {"X-Name": "me"})).required()
    form = (await remote.post(server.url, form={"a": "b c&d"})).required()
    sent = (await remote.post(server.url, json={"a": [1]})).required()

    assert [each["given"] for each in (got, form, sent)] == [{"a": "1"}, {"a": "b c&d"}, {"a": [1]}]
    assert (got["headers"]["x-name"], got["headers"]["accept"]) == ("me", "application/json")


async def test_it_can_be_asked_again_after_all_was_closed(server: Echo, remote: Remote) -> None:
    await remote.get(server.url)
    await remote.close()

    assert (await remote.get(server.url)).status == 200


async def test_no_redirection_is_followed(server: Echo, remote: Remote) -> None:
    reply = await remote.get(f"{server.url}/moved")

    assert (reply.status, server.asked) == (302, ["/moved"])
    with pytest.raises(NoAnswer, match=r"/moved answered with status 302$"):
        reply.required()


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        (b"<html>", "with what is no JSON$"),
        ([], "no JSON object$"),
        (b"x" * 100_001, "than 100000 bytes$"),
    ],
)
async def test_an_answer_has_to_be_an_object_of_some_size(
    server: Echo, remote: Remote, said: object, problem: str
) -> None:
    server.says["/"] = said

    with pytest.raises(NoAnswer, match=problem):
        (await remote.get(f"{server.url}/?token=secret")).json()


async def test_what_is_packed_is_not_unpacked(server: Echo, remote: Remote) -> None:
    with pytest.raises(NoAnswer, match="no JSON"):
        (await remote.get(f"{server.url}/packed")).json()


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/x", "nowhere", "http://[/", "http://name.invalid/"])
async def test_a_server_that_is_not_there_gives_no_answer(remote: Remote, url: str) -> None:
    with pytest.raises(NoAnswer, match="cannot be asked: "):
        await remote.get(f"{url}?token=secret")


async def test_one_that_hangs_is_waited_for_so_long(server: Echo) -> None:
    remote = Remote(timeout_s=0.2)
    server.goes_on.clear()

    with pytest.raises(NoAnswer) as failed:
        await remote.get(f"{server.url}/x?token=secret")
    await remote.close()
    assert str(failed.value) == f"{server.url}/x did not answer within 0.2 s"


async def test_no_parameter_nor_header_is_logged(
    server: Echo, remote: Remote, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    await remote.get(f"{server.url}/?token=secret", {"Authorization": "Bearer secret"})

    assert "secret" not in caplog.text


def test_without_the_library_the_start_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    with pytest.raises(SettingsError, match=r"pip install 'kobako\[openid\]'"):
        Remote()
