"""A thin client over one keep-alive connection, for threads that load a server."""

import base64
import http.client
import json
from typing import Any
from urllib.parse import urlsplit

AUTHORIZATION = "Basic " + base64.b64encode(b"writer:secret").decode()
RECORDS = "/v1/buckets/load/collections/things/records"


class Api:
    """One connection. `call` returns the status, the headers and the decoded body."""

    def __init__(self, port: int, timeout_s: float = 30):
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)

    def call(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Any:
        text = None if body is None else json.dumps(body)
        given = {"Authorization": AUTHORIZATION, "Content-Type": "application/json", **(headers or {})}
        self._connection.request(method, path, text, given)
        response = self._connection.getresponse()
        content = response.read()
        return response.status, response.headers, json.loads(content) if content else None

    def make_list(self) -> None:
        """Create the bucket and the collection of RECORDS."""
        for path in ("/v1/buckets/load", "/v1/buckets/load/collections/things"):
            status, _, body = self.call("PUT", path)
            assert status in (200, 201), body

    def pages(self, path: str) -> tuple[list[dict[str, Any]], str]:
        """Return the objects of all pages of a list, and the ETag of the last one."""
        found: list[dict[str, Any]] = []
        following: str | None = path
        while following:
            status, headers, body = self.call("GET", following)
            assert status == 200, body
            found += body["data"]
            url = headers["Next-Page"]
            following = url and "{0.path}?{0.query}".format(urlsplit(url))
        return found, headers["ETag"]

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


class Replica:
    """A copy of RECORDS that knows nothing but the ETag it saw last."""

    def __init__(self, port: int, page_size: int = 100):
        self.records: dict[str, dict[str, Any]] = {}
        self.etag = '"0"'
        self.polls = 0
        self._api = Api(port)
        self._page_size = page_size

    def poll(self) -> None:
        """Apply what changed since the last time."""
        etag = self.etag.replace('"', "%22")
        changes, new = self._api.pages(f"{RECORDS}?_since={etag}&_limit={self._page_size}")
        assert int(new.strip('"')) >= int(self.etag.strip('"')), "the ETag went back"
        # Newest first: of two versions of a record, seen on different pages, the newest comes first.
        for change in reversed(changes):
            known = self.records.get(change["id"])
            if known is None or known["last_modified"] <= change["last_modified"]:
                self.records[change["id"]] = change
        self.etag = new
        self.polls += 1

    def live(self) -> dict[str, dict[str, Any]]:
        """Return the records that are not deleted."""
        return {id: record for id, record in self.records.items() if not record.get("deleted")}
