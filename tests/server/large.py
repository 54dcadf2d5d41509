"""A client that attaches a large file: in a process of its own, lest it be the client for whom others wait.

python -m tests.server.large PORT BYTES
"""

import http.client
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.server.api import AUTHORIZATION

RECORDS = "/v1/buckets/load/collections/things/records"
URL = f"{RECORDS}/large/attachment"
HEADERS = {"Authorization": AUTHORIZATION, "Content-Type": "multipart/form-data; boundary=X"}

CHUNK = b"0123456789abcdef" * 4096
HEAD = b'--X\r\nContent-Disposition: form-data; name="attachment"; filename="a.txt"\r\n\r\n'
TAIL = b"\r\n--X--\r\n"


def body(size: int) -> Iterator[bytes]:
    """Yield a form with a file of this size, a multiple of that of CHUNK."""
    yield HEAD
    for _ in range(size // len(CHUNK)):
        yield CHUNK
    yield TAIL


def upload(
    port: int, size: int, headers: dict[str, str] = HEADERS, chunks: Iterator[bytes] | None = None
) -> http.client.HTTPResponse:
    """Send a file, and return the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    length = str(len(HEAD) + size + len(TAIL))
    connection.request("POST", URL, chunks or body(size), {**headers, "Content-Length": length})
    return connection.getresponse()


def upload_from_elsewhere(port: int, size: int) -> int:
    """Do so in another process, and return the status."""
    command = [sys.executable, "-m", "tests.server.large", str(port), str(size)]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True)
    return int(done.stdout)


if __name__ == "__main__":
    print(upload(int(sys.argv[1]), int(sys.argv[2])).status)
