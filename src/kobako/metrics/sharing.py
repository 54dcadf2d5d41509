"""What the worker processes of one server share of their metrics: a folder, so that any of them answers for all.

Source: objects, 16.2.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from kobako.settings import Settings

VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"


@contextmanager
def folder(settings: Settings, workers: int) -> Iterator[None]:
    """Name an empty folder in the environment, for several workers with Prometheus. One that is named is emptied."""
    if "prometheus" not in settings.includes or (workers == 1 and VARIABLE not in os.environ):
        yield
        return
    if VARIABLE in os.environ:
        _empty(Path(os.environ[VARIABLE]))
        yield
        return
    made = tempfile.mkdtemp(prefix="kobako-metrics-")
    os.environ[VARIABLE] = made
    try:
        yield
    finally:
        shutil.rmtree(made, ignore_errors=True)


def join(worker: int) -> None:
    """Share the metrics of this process, where there is a folder: under the number of the worker.

    One that replaces a worker has the number of that one and goes on in its files, so that nothing is left to clean
    up after a worker that died, and no counter goes back.
    """
    if os.environ.get(VARIABLE):
        from kobako.metrics.prometheus import share_values

        share_values(lambda: worker)


def _empty(path: Path) -> None:
    path.mkdir(parents=True, exist_ok=True)
    for file in path.glob("*.db"):
        file.unlink()
