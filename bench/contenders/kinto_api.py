"""The requests of the Kinto HTTP API, for Kobako and for Kinto."""

from base64 import b64encode
from typing import Any

from bench import dataset
from bench.wire import Answer, Client, request
from bench.workloads import BATCH, CHANGES, KEPT, PAGE, SYNC_PAGE, SYNC_PAGES_MEASURED

BUCKET = "/buckets/bench"

Requests = list[bytes]


def uri_of(collection: str) -> str:
    """Return the URI of a collection."""
    return f"{BUCKET}/collections/{collection}"


def records_of(collection: str) -> str:
    """Return the path of the records of a collection."""
    return f"/v1{uri_of(collection)}/records"


def login(name: str) -> dict[str, str]:
    """Return the header of a user."""
    return {"Authorization": "Basic " + b64encode(f"{name}:{dataset.PASSWORD}".encode()).decode()}


def make_collections(client: Client) -> None:
    """Make the bucket and its collections; OWNER is who asks."""
    client.call("PUT", f"/v1{BUCKET}")
    for name in dataset.SIZES:
        indexes = ["topic"] if name == "items" else []
        client.call("PUT", f"/v1{uri_of(name)}", {"data": {"indexes": indexes}})


def user_id(port: int, name: str) -> str:
    """Return the id that a server gives a user."""
    id: str = Client(port, login(name)).call("GET", "/v1/").json["user"]["id"]
    return id


class KintoAPI:
    """One method a workload (`workloads.py`), which returns its requests for a server that has its data."""

    def __init__(self, port: int) -> None:
        self.owner = login(dataset.OWNER)
        self.client = Client(port, self.owner)

    def hello(self) -> Requests:
        return [self._get("/v1/")]

    def one(self) -> Requests:
        return [self._get(f"{records_of('items')}/{dataset.id_of(n)}") for n in range(KEPT)]

    def unchanged(self) -> Requests:
        return [self._unchanged(f"{records_of('items')}/{dataset.id_of(n)}") for n in range(20)]

    def page(self) -> Requests:
        return [self._get(f"{records_of('items')}?_limit={PAGE}")]

    def equal(self) -> Requests:
        return [self._get(f"{records_of('items')}?kind=kind-{n}") for n in range(dataset.KINDS)]

    def indexed(self) -> Requests:
        return [self._get(f"{records_of('items')}?topic=topic-{n}") for n in range(dataset.KINDS)]

    def poll(self) -> Requests:
        etag = self._ask(f"{records_of('items')}?_limit=1").headers["etag"].strip('"')
        return [self._get(f"{records_of('items')}?_since={etag}")]

    def changes(self) -> Requests:
        latest = self._ask(f"{records_of('items')}?_sort=-last_modified&_limit={CHANGES + 1}").json["data"]
        return [self._get(f"{records_of('items')}?_since={latest[-1]['last_modified']}")]

    def shared(self) -> Requests:
        return [request("GET", f"{records_of('shared')}?_limit={PAGE}", login(dataset.READER))]

    def sync(self) -> Requests:
        """Follow the pages to the end once; return pages of them at even distances."""
        pages = [f"{records_of('big')}?_limit={SYNC_PAGE}"]
        while (following := self._ask(pages[-1]).headers.get("next-page")) is not None:
            pages.append("/v1/" + following.split("/v1/", 1)[1])
        assert len(pages) == dataset.SIZES["big"] / SYNC_PAGE, f"{len(pages)} pages"
        return [self._get(each) for each in pages[:: len(pages) // SYNC_PAGES_MEASURED]]

    def post(self) -> Requests:
        return [self._send("POST", records_of("posts"), dataset.record(n)) for n in range(KEPT)]

    def put(self) -> Requests:
        path = records_of("writes")
        return [self._send("PUT", f"{path}/{dataset.id_of(n)}", dataset.record(n, 1)) for n in range(KEPT)]

    def patch(self) -> Requests:
        path = records_of("writes")
        return [self._send("PATCH", f"{path}/{dataset.id_of(n)}", {"count": n}) for n in range(KEPT)]

    def batch(self) -> Requests:
        return [
            request("POST", "/v1/batch", self.owner, puts("writes", range(first, first + BATCH)))
            for first in range(0, KEPT, BATCH)
        ]

    def _ask(self, path: str) -> Answer:
        return self.client.call("GET", path)

    def _get(self, path: str) -> bytes:
        return request("GET", path, self.owner)

    def _unchanged(self, path: str) -> bytes:
        return request("GET", path, {**self.owner, "If-None-Match": self._ask(path).headers["etag"]})

    def _send(self, method: str, path: str, data: dict[str, Any]) -> bytes:
        return request(method, path, self.owner, {"data": data})


def puts(collection: str, numbers: range) -> dict[str, Any]:
    """Return the body of a batch that writes records."""
    path = f"{uri_of(collection)}/records"
    return {
        "defaults": {"method": "PUT"},
        "requests": [{"path": f"{path}/{dataset.id_of(n)}", "body": {"data": dataset.record(n, 1)}} for n in numbers],
    }
