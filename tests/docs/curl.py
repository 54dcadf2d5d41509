"""A stand-in for curl, with the options that the README and the other pages use."""

import argparse
import base64
import contextlib
import http.client
import sys
from pathlib import Path
from urllib.parse import urlsplit


def main() -> None:
    """Send one request and print the answer."""
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("-s", action="store_true")
    parser.add_argument("-i", action="store_true")
    parser.add_argument("-X", dest="method")
    parser.add_argument("-u", dest="user")
    parser.add_argument("-H", dest="headers", action="append", default=[])
    parser.add_argument("-d", "--data-binary", dest="data")
    parser.add_argument("-F", dest="form", action="append")
    options = parser.parse_args()

    url = urlsplit(options.url)
    headers = dict(header.split(": ", 1) for header in options.headers)
    if options.user:
        headers["Authorization"] = "Basic " + base64.b64encode(options.user.encode()).decode()
    data = sys.stdin.buffer.read() if options.data == "@-" else options.data and options.data.encode()
    if options.form:
        data, headers["Content-Type"] = _form(options.form), "multipart/form-data; boundary=part"
    connection = http.client.HTTPConnection(url.netloc)
    path = url.path + (f"?{url.query}" if url.query else "")
    # The server may answer before it has read all of a body; the answer is there then.
    with contextlib.suppress(BrokenPipeError):
        connection.request(options.method or ("POST" if data else "GET"), path, data or None, headers)
    response = connection.getresponse()
    if options.i:
        print(f"HTTP/1.1 {response.status} {response.reason}")
        print("".join(f"{name}: {value}\n" for name, value in response.getheaders()), flush=True)
    sys.stdout.buffer.write(response.read())


def _form(parts: list[str]) -> bytes:
    """Return a form of `name=text` and `name=@file`."""
    found = b""
    for name, _, value in (each.partition("=") for each in parts):
        file = Path(value.removeprefix("@")) if value.startswith("@") else None
        named = f'; filename="{file.name}"' if file else ""
        head = f'--part\r\nContent-Disposition: form-data; name="{name}"{named}\r\n\r\n'
        found += head.encode() + (file.read_bytes() if file else value.encode()) + b"\r\n"
    return found + b"--part--\r\n"


if __name__ == "__main__":
    main()
