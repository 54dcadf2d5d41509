"""The history of a bucket: who created, changed or deleted what in it, and how it was then.

Every change of a bucket, group, collection or record is written down as an entry in the list `/buckets/<b>/history`,
in the transaction of the change (`recording.py`). Entries are a resource that nobody creates, and whose objects have no
URL (`entries.py`). From entries, records are shown as they were (`snapshots.py`).

Source: objects, 11.
"""

from typing import Any

from kobako import Listener, Plugin, Settings
from kobako.plugins.history.entries import HISTORY, KINDS
from kobako.plugins.history.options import Options, excluded_resources, read
from kobako.plugins.history.recording import Recorder
from kobako.plugins.history.snapshots import SNAPSHOT


def plugin(settings: Settings) -> Plugin:
    """Return the plugin. Raises SettingsError."""
    options = read(settings)
    recorder = Recorder(options, grants=settings.explicit_permissions)
    return Plugin(
        name="history",
        resources=[HISTORY],
        views=[SNAPSHOT],
        listeners=[
            Listener(recorder.record, resources=KINDS, name="plugins.history", at_once=True, writes=recorder.lists)
        ],
        capabilities={"history": _capability(options)},
    )


def _capability(options: Options) -> dict[str, Any]:
    """Return what clients are told: of the settings, those that change anything."""
    told = {
        "auto_trim_max_count": max(options.auto_trim_max_count, 0),
        "auto_trim_user_ids": list(options.auto_trim_user_ids),
        "excluded_resources": excluded_resources(options),
    }
    return {
        "description": "Track changes on data.",
        "url": "http://kinto.readthedocs.io/en/latest/api/1.x/history.html",
        **{name: value for name, value in told.items() if value},
    }
