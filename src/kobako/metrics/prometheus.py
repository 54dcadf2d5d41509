"""Metrics for Prometheus: kept in memory, served as text on `/__metrics__`.

Several processes of one server share their values through a folder, named by PROMETHEUS_MULTIPROC_DIR: each writes
files of its own, and whoever is asked reads those of all.

Source: HTTP API, 15.5 and 16.12; objects, 16.2; reliability, P25.
"""

import logging
import os
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, Final

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Histogram, Summary, values
from prometheus_client.multiprocess import MultiProcessCollector

from kobako.metrics.base import NO_LABELS, Labels
from kobako.metrics.sharing import VARIABLE

MAX_SERIES: Final = 1000
"""Of one metric, in one process. Who has more objects gets no label for each: no server is to die of its metrics."""

_log = logging.getLogger("kobako.metrics")


class Prometheus:
    """Counters, histograms of seconds, and summaries. `open_labels` may have any number of values, others few."""

    content_type = "text/plain; version=0.0.4; charset=utf-8"

    def __init__(
        self,
        prefix: str = "",
        *,
        disabled: Collection[str] = (),
        buckets: Sequence[float] = Histogram.DEFAULT_BUCKETS,
        shows_created: bool = True,
        open_labels: Collection[str] = (),
    ):
        self._prefix = prefix
        self._disabled = {_spelt(each).removeprefix(prefix) for each in disabled}
        self._buckets = buckets
        self._shows_created = shows_created
        self._open_labels = frozenset(open_labels)
        self._registry = CollectorRegistry()
        self._families: dict[str, _Family] = {}
        self.capability = {
            "description": "Prometheus metrics.",
            "url": "https://github.com/Kinto/kinto/",
            "prefix": prefix,
            "disabled_metrics": list(disabled),
        }

    def count(self, name: str, labels: Labels = NO_LABELS) -> None:
        """Count one more of these labels."""
        if family := self._family(Counter, name, labels):
            family.series(labels).inc()

    def time(self, name: str, seconds: float, labels: Labels = NO_LABELS) -> None:
        """Put a duration into its bucket."""
        if family := self._family(Histogram, name, labels):
            family.series(labels).observe(seconds)

    def observe(self, name: str, value: float, labels: Labels = NO_LABELS) -> None:
        """Add a value to a sum and a count."""
        if family := self._family(Summary, name, labels):
            family.series(labels).observe(value)

    def exposition(self) -> bytes:
        """Return all metrics in the text format of Prometheus: those of all processes, where they share a folder."""
        shared = os.environ.get(VARIABLE)
        collector = MultiProcessCollector(None, shared) if shared else self._registry  # type: ignore[no-untyped-call]
        return prometheus_client.generate_latest(_Shown(collector, self._shows_created))

    def close(self) -> None:
        """Do nothing: the values live as long as the process."""

    def _family(self, kind: type[Any], name: str, labels: Labels) -> "_Family | None":
        """Return a metric, None for one that nobody wants. Raises TypeError if it was used as another kind before."""
        found = self._families.get(name)
        if found is None:
            if _spelt(name) in self._disabled:
                return None
            found = self._families[name] = _Family(self._made(kind, name, labels), self._open_labels)
        if type(found.metric) is not kind:
            raise TypeError(f"{name} is a {type(found.metric).__name__}, and was used as a {kind.__name__}")
        return found

    def _made(self, kind: type[Any], name: str, labels: Labels) -> Any:
        more: dict[str, Any] = {"buckets": self._buckets} if kind is Histogram else {}
        return kind(self._prefix + _spelt(name), f"{name}.", list(labels), registry=self._registry, **more)


class _Family:
    """A metric with its series: one for each set of values that its labels have had."""

    def __init__(self, metric: Any, open_labels: Collection[str]):
        self.metric = metric
        self._open_labels = open_labels
        self._series: dict[tuple[str, ...], Any] = {}
        self._is_full = False

    def series(self, labels: Labels) -> Any:
        """Return the series of these labels; where there are too many, the one without what has no bounds."""
        values = tuple(labels.values())
        if values not in self._series and len(self._series) >= MAX_SERIES:
            self._warn()
            values = tuple("" if name in self._open_labels else value for name, value in labels.items())
        found = self._series.get(values)
        if found is None:
            found = self._series[values] = self.metric.labels(*values) if values else self.metric
        return found

    def _warn(self) -> None:
        if not self._is_full:
            self._is_full = True
            sentence = (
                "%s has %d series: others are told without ids. 'metrics_matchdict_fields' chooses which there are."
            )
            _log.warning(sentence, self.metric, MAX_SERIES)


class _Shown:
    """What is told of a registry."""

    def __init__(self, collector: Any, shows_created: bool):
        self._collector = collector
        self._shows_created = shows_created

    def collect(self) -> Iterator[Any]:
        """Yield the metrics, without the times of their creation if nobody wants these."""
        for metric in self._collector.collect():
            if not self._shows_created:
                metric.samples = [each for each in metric.samples if not each.name.endswith("_created")]
            yield metric


def prefix_of(name: str) -> str:
    """Return the prefix of metrics for a name: small letters and digits, and an underscore if there are any.

    >>> prefix_of("Kinto-prod 2.0"), prefix_of("")
    ('kintoprod20_', '')
    """
    letters = re.sub(r"^[0-9]+|[^a-z0-9]", "", name.lower())
    return f"{letters}_" if letters else ""


def share_values(process: Callable[[], int]) -> None:
    """Keep the values of this process in the shared folder, under a number that no other process has now.

    A process that takes the place of one that ended takes its number, and goes on counting where that one stopped.
    """
    values.ValueClass = values.MultiProcessValue(process)  # type: ignore[no-untyped-call]


def _spelt(name: str) -> str:
    return re.sub(r"[^a-zA-Z0-9_:]", "_", name)
