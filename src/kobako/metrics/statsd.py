"""Metrics for StatsD: in UDP packets, which nobody waits for and nobody misses.

Labels have no place in the protocol, so they are flattened, as `name.value.name.value`: appended to the name of a
timer, and the member of a set where something is counted (how many different users there were).

Source: HTTP API, 15.5 and 16.12; objects, 16.2.
"""

import asyncio
import re
from urllib.parse import urlsplit

from statsd import StatsClient  # type: ignore[import-untyped]

from kobako.metrics.base import NO_LABELS, Labels

DEFAULT_PORT = 8125


class StatsD:
    """Metrics that are sent to `udp://host:port`. Raises OSError if there is no such host."""

    def __init__(self, url: str, prefix: str):
        address = urlsplit(url)
        host = address.hostname or ""
        self._client = StatsClient(host, address.port or DEFAULT_PORT, prefix=_safe(prefix), ipv6=":" in host)
        # A full buffer loses a packet, where it would stop every request.
        self._client._sock.setblocking(False)
        self._waiting = self._client.pipeline()
        self._is_scheduled = False

    def count(self, name: str, labels: Labels = NO_LABELS) -> None:
        """Count one more; with labels, make them a member of a set."""
        if labels:
            self._waiting.set(_safe(name), flattened(labels))
        else:
            self._waiting.incr(_safe(name))
        self._send_soon()

    def time(self, name: str, seconds: float, labels: Labels = NO_LABELS) -> None:
        """Send a duration, in milliseconds."""
        self._waiting.timing(".".join(filter(None, (_safe(name), flattened(labels)))), seconds * 1000)
        self._send_soon()

    def observe(self, name: str, value: float, labels: Labels = NO_LABELS) -> None:
        """Send a value that replaces the one before. Its labels are not told."""
        self._waiting.gauge(_safe(name), value)
        self._send_soon()

    def close(self) -> None:
        """Send what waits, and close the socket."""
        self._send()
        self._client.close()

    def _send_soon(self) -> None:
        """Send with what else comes until the event loop goes on: a request takes few packets."""
        if self._is_scheduled:
            return
        try:
            asyncio.get_running_loop().call_soon(self._send)
            self._is_scheduled = True
        except RuntimeError:
            # No loop runs here.
            self._send()

    def _send(self) -> None:
        self._is_scheduled = False
        self._waiting.send()


def flattened(labels: Labels) -> str:
    """Return labels as one name; those without a value are left out.

    >>> flattened({"method": "get", "endpoint": "hello", "bucket_id": "", "status": "200"})
    'method.get.endpoint.hello.status.200'
    """
    return ".".join(f"{_safe(name)}.{_safe(value)}" for name, value in labels.items() if value)


def _safe(text: str) -> str:
    """Return a text without what separates the parts of a packet, or cannot be in one."""
    return re.sub(r"[^A-Za-z0-9_.@/+-]", "", text)
