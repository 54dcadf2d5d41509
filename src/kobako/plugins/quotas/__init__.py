"""Quotas: how much a bucket and a collection may hold, in bytes and records, and how large one object may be.

What they hold is counted in the transaction that changes it, by a listener that is told of all of it at once; so a
counter is exact, and a write that exceeds is undone with its whole request or batch.

Source: objects, 12.
"""

from functools import partial
from typing import Final

from kobako import Listener, Plugin, Settings
from kobako.plugins.quotas.counting import count
from kobako.plugins.quotas.limits import read_limits

RESOURCES: Final = ("bucket", "group", "collection", "record")

CAPABILITY: Final = {
    "description": "Quotas Management on buckets and collections.",
    "url": "https://kinto.readthedocs.io",
}


def plugin(settings: Settings) -> Plugin:
    """Return the plugin. Raises SettingsError."""
    listener = Listener(partial(count, read_limits(settings)), resources=RESOURCES, at_once=True, name="quotas")
    return Plugin(name="quotas", listeners=[listener], capabilities={"quotas": CAPABILITY})
