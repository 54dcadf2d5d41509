"""The contract of metrics: what is counted, timed and observed, told to whoever collects it.

A metric has a name with dots and always the same labels, in the same order; another order would be another metric.
None of the operations waits, and none fails because nobody listens.

Source: objects, 16.2.
"""

from collections.abc import Mapping
from typing import Any, Final, Protocol, runtime_checkable

Labels = Mapping[str, str]
NO_LABELS: Final[Labels] = {}


class Metrics(Protocol):
    """Where metrics go."""

    def count(self, name: str, labels: Labels = NO_LABELS) -> None:
        """Count one more; with labels, of those: what knows sets counts how many different ones there are."""
        ...

    def time(self, name: str, seconds: float, labels: Labels = NO_LABELS) -> None:
        """Tell how long something took."""
        ...

    def observe(self, name: str, value: float, labels: Labels = NO_LABELS) -> None:
        """Tell a value that was met: a size, for one."""
        ...

    def close(self) -> None:
        """Let go of what is open."""
        ...


@runtime_checkable
class Scraped(Metrics, Protocol):
    """Metrics that whoever collects them comes and reads."""

    content_type: str
    capability: Mapping[str, Any]
    """What the hello view says of it."""

    def exposition(self) -> bytes:
        """Return all metrics as text. It takes a while, and may run in a thread."""
        ...
