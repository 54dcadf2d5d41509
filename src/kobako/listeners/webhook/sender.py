"""One message, sent once: a signed POST, to an address that was looked at."""

import asyncio
import logging
from typing import Final

from kobako.listeners.webhook import addresses, signing
from kobako.listeners.webhook.options import Webhook

try:
    import httpx
except ModuleNotFoundError as error:
    raise ImportError("it needs a library, which comes with `pip install 'kobako[webhook]'`") from error

PORTS: Final = {"https": 443, "http": 80}


def parse(url: str) -> httpx.URL:
    """Return a URL. Raises ValueError for what is none."""
    try:
        return httpx.URL(url)
    except httpx.InvalidURL as error:
        raise ValueError(str(error)) from error


class Sender:
    """Sends to one receiver. No redirection is followed, no proxy of the environment used."""

    def __init__(self, webhook: Webhook) -> None:
        self._webhook = webhook
        self._url = parse(webhook.url)
        # Each connection is made anew: it lasts as long as the message, and its address was looked at just before.
        limits = httpx.Limits(max_keepalive_connections=0)
        timeout = httpx.Timeout(webhook.timeout_s, connect=webhook.timeout_s / 2)
        # Of the environment only SSL_CERT_FILE and SSL_CERT_DIR count: for receivers with an authority of their own.
        trusted = httpx.create_ssl_context(trust_env=True)
        self._client = httpx.AsyncClient(verify=trusted, trust_env=False, limits=limits, timeout=timeout)
        # It would write the whole URL, which may hold a key, at every request.
        logging.getLogger("httpx").setLevel(logging.WARNING)

    @property
    def host(self) -> str:
        """The receiver, as it may be shown."""
        return self._url.host

    async def send(self, id: str, timestamp_s: int, body: bytes) -> str | None:
        """Send a message; return what went wrong, None where the receiver answered with 2xx."""
        headers = signing.headers(self._webhook.key, id, timestamp_s, body)
        try:
            async with asyncio.timeout(self._webhook.timeout_s):
                status = await self._post(dict(headers), body)
        except TimeoutError:
            return f"no answer within {self._webhook.timeout_s} s"
        except (addresses.Refused, httpx.HTTPError, OSError, ValueError) as error:
            return str(error) or type(error).__name__
        return None if 200 <= status < 300 else f"status {status}"

    async def _post(self, headers: dict[str, str], body: bytes) -> int:
        """Return the status of the answer of the first address that can be connected to."""
        host, port = self._url.raw_host.decode("ascii"), self._url.port or PORTS[self._url.scheme]
        found = await addresses.resolve(host, port, allow_private=self._webhook.allow_private)
        for address in found[:-1]:
            try:
                return await self._post_to(address, headers, body)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                continue
        return await self._post_to(found[-1], headers, body)

    async def _post_to(self, address: str, headers: dict[str, str], body: bytes) -> int:
        """Return the status of an answer; its body is not read. Certificates are those of the name, not the address."""
        url = self._url.copy_with(host=address)
        headers["Host"] = self._url.netloc.decode("ascii")
        known_as = {"sni_hostname": self._url.raw_host.decode("ascii")}
        async with self._client.stream("POST", url, content=body, headers=headers, extensions=known_as) as response:
            return response.status_code

    async def close(self) -> None:
        """Let go of what is open."""
        await self._client.aclose()
