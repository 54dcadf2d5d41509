"""Where a webhook is sent: to an address that was looked at, whatever a name leads to later; and who answers there."""

import asyncio
import base64
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.listeners.receiver import Receiver

from kobako.listeners.webhook import addresses
from kobako.listeners.webhook.addresses import is_public
from kobako.listeners.webhook.options import Webhook
from kobako.listeners.webhook.sender import Sender

KEY = base64.b64decode("MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3")
CERTIFICATE = Path(__file__).with_name("receiver.pem")
"""Of receiver.example, signed by itself, with its key: it protects nothing."""


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",
        "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fc00::1", "ff02::1", "::ffff:10.0.0.1",
        "64:ff9b::a00:1", "2002:a00:1::", "2001:0:a00:1::",
    ],
)  # fmt: skip
def test_an_address_that_is_not_of_the_internet_is_told_as_such(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["9.9.9.9", "2606:4700:4700::1111", "64:ff9b::909:909"])
def test_an_address_of_the_internet_is_told_as_such(address: str) -> None:
    assert is_public(address)


def leading_to(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """Make names lead to these addresses, one list for each time it is asked; return the names that were asked for."""
    asked, left = [], list(answers)

    async def getaddrinfo(self: Any, host: str, port: int, **_: Any) -> Any:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in left.pop(0)]

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", getaddrinfo)
    return asked


async def send(url: str, *, allow_private: bool = True) -> str | None:
    """Send a message; return what went wrong."""
    sender = Sender(Webhook(name="hook", url=url, key=KEY, timeout_s=5, allow_private=allow_private))
    try:
        return await sender.send("hook-0-1", 1700000000, b"{}")
    finally:
        await sender.close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as found:
        yield found


async def test_the_connection_is_made_to_the_address_that_was_looked_at(
    monkeypatch: pytest.MonkeyPatch, receiver: Receiver
) -> None:
    asked = leading_to(monkeypatch, ["127.0.0.1"])

    problem = await send(f"http://receiver.example:{receiver.server_port}/hook")

    assert (problem, asked) == (None, ["receiver.example"])
    assert receiver.received[0].headers["host"] == f"receiver.example:{receiver.server_port}"


async def test_an_address_that_does_not_answer_is_followed_by_the_next(
    monkeypatch: pytest.MonkeyPatch, receiver: Receiver
) -> None:
    # On this machine only 127.0.0.1 listens on the port.
    leading_to(monkeypatch, ["127.0.0.2", "127.0.0.1"])

    assert await send(f"http://receiver.example:{receiver.server_port}/hook") is None


async def test_of_several_addresses_those_that_are_not_public_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    leading_to(monkeypatch, ["10.0.0.1", "9.9.9.9"], ["10.0.0.1", "127.0.0.1"])

    assert await addresses.resolve("receiver.example", 443, allow_private=False) == ["9.9.9.9"]
    problem = await send("https://receiver.example/", allow_private=False)
    assert problem == "receiver.example is 10.0.0.1, 127.0.0.1: addresses that are not public need 'allow_private'"


async def test_a_certificate_has_to_be_that_of_the_name(monkeypatch: pytest.MonkeyPatch, receiver: Receiver) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    receiver.socket = context.wrap_socket(receiver.socket, server_side=True)
    leading_to(monkeypatch, *[["127.0.0.1"]] * 3)
    url = f"https://receiver.example:{receiver.server_port}/hook"

    stranger = await send(url)
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))

    assert stranger
    assert "self-signed" in stranger
    assert await send(url) is None
    other = await send(url.replace("receiver.", "other."))
    assert other
    assert "Hostname mismatch" in other
    assert len(receiver.received) == 1


async def test_a_receiver_that_never_answers_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        sender = Sender(Webhook(name="hook", url=url, key=KEY, timeout_s=1, allow_private=True))
        try:
            assert await sender.send("hook-0-1", 1700000000, b"{}") == "no answer within 1 s"
        finally:
            await sender.close()
