"""What an app tells Prometheus, read as Prometheus reads it."""

from collections.abc import Iterator

from prometheus_client.parser import text_string_to_metric_families

from kobako.app import App
from kobako.protocol.messages import Request


async def page(app: App) -> str:
    """Return the text that an app serves."""
    response = await app.answer(Request(method="GET", path="/v1/__metrics__"))
    assert response.status == 200
    assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    return response.body.decode()


def names(text: str) -> set[str]:
    """Return the names of the metrics that have been told; not those that say when these began."""
    return {each.name for each in text_string_to_metric_families(text) if not each.name.endswith("_created")}


def values(text: str, sample: str) -> dict[str, float]:
    """Return the values of a sample by their labels: ``{"bucket-object put 201": 1}``, those that are empty left out.

    The labels come in the order of their names.
    """
    return {" ".join(value for value in labels.values() if value): number for labels, number in _series(text, sample)}


def labels(text: str, sample: str) -> list[dict[str, str]]:
    """Return the labels of each series of a sample."""
    return [found for found, _ in _series(text, sample)]


def _series(text: str, sample: str) -> Iterator[tuple[dict[str, str], float]]:
    for family in text_string_to_metric_families(text):
        for each in family.samples:
            if each.name == sample:
                yield dict(sorted(each.labels.items())), each.value
