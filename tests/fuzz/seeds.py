"""The objects that the requests of a run shall meet: some that they may destroy, and some that stay.

Who fuzzes owns the bucket `own` and all in it, and has rights on the bucket `kept`, which is somebody else's: so
deleting all buckets does not end what a run can reach.
"""

import base64
import http.client
import json
from typing import Any

from tests.server.process import Server

FUZZER = ("fuzzer", "secret")
KEEPER = ("keeper", "secret")
BUCKETS, COLLECTIONS, CHILDREN = ["kept", "own"], ["c1", "c2"], ["o1", "o2", "c1"]
IDS = {"bucket_id": BUCKETS, "collection_id": COLLECTIONS, "id": [*CHILDREN, *BUCKETS]}

DATA: dict[str, Any] = {
    "n": 1,
    "text": "otoro",
    "tags": ["a", 2],
    "nested": {"deep": {"er": None}},
    "cache_expires": 60,
}


def sow(server: Server) -> None:
    """Create what is not there."""
    connection = server.connect()
    user = json.loads(_send(connection, "GET", "/", FUZZER))["user"]["id"]
    for bucket, owner in zip(BUCKETS, (KEEPER, FUZZER), strict=True):
        share = {"read": [user], "collection:create": [user], "group:create": [user]}
        _send(connection, "PUT", f"/buckets/{bucket}", owner, {"data": {"n": 1}, "permissions": share})
        for id in CHILDREN:
            group = {"data": {"members": [user, "account:ann"]}}
            _send(connection, "PUT", f"/buckets/{bucket}/groups/{id}", FUZZER, group)
        for collection in COLLECTIONS:
            uri = f"/buckets/{bucket}/collections/{collection}"
            share = {"read": [user], "record:create": [user]}
            _send(connection, "PUT", uri, owner, {"data": {"title": collection}, "permissions": share})
            for id in CHILDREN:
                _send(connection, "PUT", f"{uri}/records/{id}", FUZZER, {"data": DATA})
    connection.close()


def _send(
    connection: http.client.HTTPConnection, method: str, path: str, user: tuple[str, str], body: Any = None
) -> bytes:
    credentials = base64.b64encode(":".join(user).encode()).decode()
    headers = {"Authorization": f"Basic {credentials}", "Content-Type": "application/json"}
    connection.request(method, f"/v1{path}", json.dumps(body or {}), headers)
    response = connection.getresponse()
    content = response.read()
    assert response.status < 500, content
    return content
