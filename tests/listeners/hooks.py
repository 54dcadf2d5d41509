"""What the tests of webhooks share: a secret, and the description of a webhook."""

import base64

from kobako.settings import EventListener

KEY = b"0123456789abcdef01234567"
SECRET = "whsec_" + base64.b64encode(KEY).decode()


def webhook(url: str, **options: str) -> EventListener:
    """Describe the webhook of a test: its receiver is on this machine."""
    given = {"url": url, "secret": SECRET, "allow_private": "true", "timeout_seconds": "5", **options}
    return EventListener("hook", "webhook", resources=("record",), options=given)
