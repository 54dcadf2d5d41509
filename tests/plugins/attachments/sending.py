"""How the tests of attachments send files."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kobako.testing.client import Answer, Client

RECORD = "/buckets/b/collections/c/records/r"
URL = f"{RECORD}/attachment"
BOUNDARY = "XyZ"

Part = tuple[str, str | None, str | None, bytes]
"""Name, filename, type and content."""


def file(name: str | None = "a.txt", content: bytes = b"hello", kind: str | None = "text/plain") -> Part:
    """Return the part that is the file."""
    return ("attachment", name, kind, content)


def text(name: str, value: Any) -> Part:
    """Return a part with JSON."""
    return (name, None, None, value if isinstance(value, bytes) else json.dumps(value).encode())


def form(parts: Sequence[Part], boundary: str = BOUNDARY) -> bytes:
    """Return a body with these parts."""
    lines = []
    for name, filename, kind, content in parts:
        named = f'; filename="{filename}"' if filename is not None else ""
        about = f"Content-Type: {kind}\r\n" if kind else ""
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{named}\r\n{about}\r\n'
        lines.append(head.encode() + content + b"\r\n")
    return b"".join(lines) + f"--{boundary}--\r\n".encode()


async def upload(
    client: Client, *parts: Part, url: str = URL, body: bytes | None = None, headers: Mapping[str, str] | None = None
) -> Answer:
    """Send a form."""
    given = {"content-type": f"multipart/form-data; boundary={BOUNDARY}", **(headers or {})}
    return await client.request("POST", url, body=form(parts or [file()]) if body is None else body, headers=given)


def stored(folder: Path) -> dict[str, bytes]:
    """Return what is in a folder."""
    return {str(each.relative_to(folder)): each.read_bytes() for each in folder.rglob("*") if each.is_file()}
