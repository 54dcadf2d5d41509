"""A stand-in for curl, with the options that the README uses."""

import argparse
import base64
import contextlib
import http.client
import sys
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
    options = parser.parse_args()

    url = urlsplit(options.url)
    headers = dict(header.split(": ", 1) for header in options.headers)
    if options.user:
        headers["Authorization"] = "Basic " + base64.b64encode(options.user.encode()).decode()
    data = sys.stdin.buffer.read() if options.data == "@-" else options.data and options.data.encode()
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


if __name__ == "__main__":
    main()
