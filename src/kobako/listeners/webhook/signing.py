"""Signatures of what is sent: the receiver knows by them who sent it, and when.

Source: the Standard Webhooks specification, version 1 of symmetric signatures.
"""

import base64
import hmac
from collections.abc import Mapping


def headers(key: bytes, id: str, timestamp_s: int, body: bytes) -> Mapping[str, str]:
    """Return the headers of a message: its id, when it is sent, in seconds since the epoch, and its signature.

    >>> headers(b"k" * 24, "msg_1", 1700000000, b"{}")["Webhook-Signature"]
    'v1,E3sCg9uS8x43RKlJqcda1EcaYZxNkN+l2u7RBZBSZQQ='
    """
    signed = f"{id}.{timestamp_s}.".encode() + body
    signature = base64.b64encode(hmac.digest(key, signed, "sha256")).decode()
    return {
        "Content-Type": "application/json",
        "Webhook-Id": id,
        "Webhook-Timestamp": str(timestamp_s),
        "Webhook-Signature": f"v1,{signature}",
    }
