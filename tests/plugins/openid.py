"""What the tests of the openid plugin share: servers with providers, a clock, and a browser."""

import base64
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

import httpx
from tests.conftest import SETTINGS
from tests.servers.openid import OpenIDProvider

from kobako.app import App
from kobako.resources import RESOURCES
from kobako.settings import Policy
from kobako.settings.fields import BASICAUTH
from kobako.testing.client import Answer, Client

CALLBACK = "https://admin.example/#/auth/"


class Clock:
    """Milliseconds since the epoch, from now on, that pass when they are told to."""

    def __init__(self) -> None:
        self.now = time.time_ns() // 1_000_000

    def __call__(self) -> int:
        return self.now

    def pass_s(self, seconds: float) -> None:
        self.now += round(seconds * 1000)


@asynccontextmanager
async def serving(
    *policies: Policy, clock: Clock | None = None, includes: tuple[str, ...] = ("openid",), **changes: Any
) -> AsyncIterator[Client]:
    """A client of a server with these policies, and basicauth."""
    settings = replace(SETTINGS, includes=includes, policies=(*policies, BASICAUTH), **changes)
    async with Client(App(settings, RESOURCES, clock=clock or Clock())) as client:
        yield client.anonymous()


def policy(provider: OpenIDProvider, name: str = "auth0", **options: str) -> Policy:
    """Return the policy of a provider."""
    return Policy(name, "openid", provider.options(**options))


async def hello(client: Client, token: str, scheme: str = "Bearer") -> dict[str, Any]:
    """Return what the server says of whose token this is, nothing if it does not know."""
    answer = await client.get("/", headers={"Authorization": f"{scheme} {token}"})
    assert answer.status == 200, answer
    found: dict[str, Any] = answer.json.get("user", {})
    return found


async def user_of(client: Client, token: str, scheme: str = "Bearer") -> str | None:
    """Return whose token this is, None for nobody's."""
    return (await hello(client, token, scheme)).get("id")


async def begin(client: Client, name: str = "auth0", **given: str) -> Answer:
    """Ask for a login."""
    asked = {"callback": CALLBACK, "scope": "openid email", **given}
    return await client.get(f"/openid/{name}/login?{urlencode(asked)}")


def visit(url: str) -> str:
    """Return where a provider sends a browser that comes to it."""
    return httpx.get(url).headers["Location"]


def parameters(url: str) -> dict[str, str]:
    """Return the parameters of a URL."""
    return dict(parse_qsl(urlsplit(url).query))


def brought(answer: Answer, callback: str = CALLBACK) -> dict[str, Any]:
    """Return what a browser brings to the callback at the end of a login."""
    assert answer.status == 307, answer
    location = answer.headers["Location"]
    assert location.startswith(callback)
    found: dict[str, Any] = json.loads(base64.b64decode(unquote(location.removeprefix(callback)), validate=True))
    return found


async def log_in(client: Client, name: str = "auth0", **given: str) -> dict[str, Any]:
    """Log in as a browser does, and return what it brings to the callback."""
    back = visit((await begin(client, name, **given)).headers["Location"])
    return brought(await client.get(back), given.get("callback", CALLBACK))
