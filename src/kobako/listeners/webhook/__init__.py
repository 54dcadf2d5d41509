"""A listener that sends each event to a receiver on the web: signed, in order for each object, until it is received.

Before the commit events are queued in the transaction (`queue.py`); after it they are delivered (`delivery.py`).

Source: docs/events.md, "Webhooks".
"""

from kobako.listeners.options import refused
from kobako.listeners.webhook import options
from kobako.listeners.webhook.delivery import Delivery
from kobako.listeners.webhook.sender import parse
from kobako.model.listeners import Listener, Listening
from kobako.settings import EventListener


def listening(described: EventListener) -> Listening:
    """Return the listener that the settings describe. Raises SettingsError."""
    webhook = options.read(described)
    try:
        parse(webhook.url)
    except ValueError as error:
        raise refused(described, "url", str(error)) from error
    delivery = Delivery(webhook)
    listeners = [Listener(delivery.store), Listener(delivery.wake, after_commit=True)]
    return Listening(listeners, [delivery.run])
