"""A tour of Kobako on real data: the subdivisions of all countries (ISO 3166-2), stored, queried, shared and synced.

    pip install kinto-http pycountry rich
    kobako start                                        # in one terminal
    python examples/tour.py http://127.0.0.1:8888/v1    # in another

Two users, with whatever passwords: Alice owns the bucket `tour`, which is made anew each time; Bob is let in later.
"""

import logging
import sys
from collections.abc import Callable, Sized
from time import perf_counter
from typing import Any

import pycountry
from kinto_http import Client, KintoException  # type: ignore[import-untyped]
from rich.progress import track

Record = dict[str, Any]

logging.getLogger("kinto_http").setLevel(logging.ERROR)  # It warns of each request of a batch that went well.


class Copy:
    """A copy of a collection that asks for nothing but what changed since its last ETag."""

    def __init__(self, client: Client):
        self.client, self.etag = client, None
        self.records: dict[str, Record] = {}

    def sync(self) -> list[Record]:
        """Apply what changed; return it."""
        since: dict[str, Any] = {"_since": self.etag} if self.etag else {}
        changes: list[Record] = self.client.get_records(**since)
        for record in changes:
            if record.get("deleted"):
                self.records.pop(record["id"], None)
            else:
                self.records[record["id"]] = record
        self.etag = self.client.get_records_timestamp()  # Of the list just read: its ETag.
        return changes


def main(url: str) -> None:
    alice = Client(server_url=url, auth=("alice", "alices-password"), bucket="tour", collection="subdivisions")
    bob = alice.clone(server_url=url, auth=("bob", "bobs-password"))
    alice.delete_bucket(if_exists=True)
    alice.create_bucket()
    alice.create_collection()

    heading("Store, in batches")
    tell("subdivisions of countries stored", lambda: store(alice, [record(each) for each in pycountry.subdivisions]))

    heading("Query")
    tell("are in France", lambda: alice.get_records(country="FR"))
    tell("have a name that ends in 'shire'", lambda: alice.get_records(like_name="*shire"))
    tell(
        "in Austria, Italy and Switzerland, cantons left out",
        lambda: alice.get_records(in_country=["AT", "IT", "CH"], not_type="Canton"),
    )
    tell(
        "have a parent, sorted by country then name, two fields of each",
        lambda: alice.get_records(has_parent=True, _sort="country,-name", _fields="name,parent"),
    )
    tell("pages of 1,000 hold all of them", lambda: list(alice.get_paginated_records(_limit=1000, _sort="name")))

    heading("Share")
    print(f"  Bob reads the list: {status(lambda: bob.get_records())}")
    alice.create_group(id="editors", data={"members": [bob.server_info()["user"]["id"]]})
    alice.patch_collection(permissions={"write": ["/buckets/tour/groups/editors"]})
    print(f"  Bob, now in the group that may write: {status(lambda: bob.get_records())}")

    heading("Edit, both of them, and follow with a second copy")
    copy = Copy(bob)
    tell("records in the first sync of the copy", copy.sync)
    stale = alice.get_record(id="CH-VD")["data"]
    tell("Swiss cantons marked as visited, by Bob", lambda: visit(bob, "CH"))
    print(f"  Alice replaces a version that Bob has changed since: {status(lambda: alice.update_record(data=stale))}")
    tell("changes in the next sync", copy.sync)
    tell("subdivisions of Liechtenstein deleted, by Alice", lambda: delete(alice, "LI"))
    tell("record added, by Bob", lambda: store(bob, [{"id": "XX-MOON", "name": "Moon", "country": "XX"}]))
    tell("changes in the next sync, deletions among them", copy.sync)
    tell("changes in the next sync, when nobody did anything", copy.sync)

    heading("Compare")
    cold = Copy(alice)
    tell("records in a cold sync", cold.sync)
    same = copy.records == cold.records
    print(f"  The copy and the cold sync are {'equal, to the last attribute' if same else 'DIFFERENT'}.")
    sys.exit(0 if same else 1)


def record(subdivision: Any) -> Record:
    """Return a subdivision as it is stored, with its code as id."""
    data = {"id": subdivision.code, "name": subdivision.name, "type": subdivision.type}
    parent = {"parent": subdivision.parent_code} if subdivision.parent_code else {}
    return data | {"country": subdivision.country_code} | parent


def store(client: Client, records: list[Record]) -> list[Record]:
    """Create records, 25 a request, with a progress bar where somebody watches."""
    chunks = [records[start : start + 25] for start in range(0, len(records), 25)]
    for chunk in track(chunks, "  storing", transient=True, disable=not sys.stdout.isatty()):
        with client.batch() as batch:
            for each in chunk:
                batch.create_record(data=each)
    return records


def visit(client: Client, country: str) -> list[Record]:
    """Mark the subdivisions of a country as visited, unless somebody changes one meanwhile."""
    found: list[Record] = client.get_records(country=country)
    with client.batch() as batch:
        for each in found:
            batch.patch_record(id=each["id"], data={"visited": True}, if_match=each["last_modified"])
    return found


def delete(client: Client, country: str) -> list[Record]:
    """Delete the subdivisions of a country."""
    found: list[Record] = client.get_records(country=country)
    with client.batch() as batch:
        for each in found:
            batch.delete_record(id=each["id"], if_match=each["last_modified"])
    return found


def heading(text: str) -> None:
    print(f"\n{text}")


def tell(what: str, work: Callable[[], Sized]) -> None:
    """Do something; print how many that were and how long it took."""
    start = perf_counter()
    count = len(work())
    print(f"  {count:>6,} {what}  ({(perf_counter() - start) * 1000:,.0f} ms)")


def status(work: Callable[[], object]) -> str:
    """Do something; return how the server took it."""
    try:
        work()
    except KintoException as error:
        answer = error.response.json()
        return f"{answer['code']} {answer['error']}"
    return "200 OK"


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
