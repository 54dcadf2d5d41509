"""What a request read, told to listeners that asked for it. Without one, reading stays as it is: free of this.

Source: HTTP API, 14.
"""

from collections.abc import Sequence

from kobako.http.site import Call
from kobako.model import objects
from kobako.model.events import ObjectsRead, Shown
from kobako.storage.base import Stored


async def record(
    call: Call, found: Sequence[Stored], *, timestamp: int | None = None, fields: Sequence[str] = ()
) -> None:
    """Record that these objects are returned, or these fields of them; `timestamp` is the list's, if known."""
    target = call.target
    if not call.site.listeners.hear("read", target.resource.name):
        return
    if timestamp is None:
        timestamp = await objects.timestamp(call.tx, target)
    shown = [] if call.request.method == "HEAD" else [Shown(each, fields) for each in found]
    call.tx.events.record(ObjectsRead(target, "read", call.caller.user, timestamp, shown))
