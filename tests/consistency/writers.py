"""Writers: random writes of every kind to few records, each noted with what came of it."""

from collections.abc import Awaitable, Callable
from typing import Any

from tests.consistency.sending import Sender, Sent, fields_of
from tests.consistency.world import (
    INTRUDER,
    LISTS,
    LONGEST_LOG,
    OPEN,
    PAIRS,
    PLAIN_IDS,
    STABLE,
    VOLATILE,
    basic,
    collection,
    records,
)

MERGE_PATCH = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
FILLER = "x" * 9000
BALLAST = 10
"""Records that fill the disk."""
IMPOSSIBLE = '"1"'
"""A version that nothing has."""
PATIENCE_S = 5
"""How long a request with a key is sent again."""

Part = tuple[str, str, dict[str, str]]
"""A PUT in a batch: list, id, headers."""


class Writer(Sender):
    """One writer: takes operations until none is left."""

    async def run(self) -> None:
        """Write until no operation is left."""
        while self._stage.take():
            [operation] = self._random.choices(list(OPERATIONS), list(OPERATIONS.values()))
            await operation(self)
        self._client.close()

    # Single records.

    async def put(self) -> None:
        """Create or replace a record."""
        await self._put()

    async def put_version(self) -> None:
        """Replace the version that was seen last."""
        place, id = self._any()
        version = self._stage.known.get((place, id), 1)
        sent, data, token = await self._send_put(place, id, If_Match=f'"{version}"')
        self._note(sent, "put", place, id, token, patch=data, if_match=version)

    async def put_new(self) -> None:
        """Create a record, if there is none."""
        place, id = self._any()
        sent, data, token = await self._send_put(place, id, If_None_Match="*")
        self._note(sent, "put", place, id, token, patch=data, if_none_match=True)

    async def put_large(self) -> None:
        """Write a record that needs pages of its own."""
        await self._put(filler=FILLER[: self._random.randrange(3000, len(FILLER))])

    async def put_past(self) -> None:
        """Ask for a timestamp of the past, for an object that is or was there: it gets a new one (S16)."""
        place, id = self._any()
        if version := self._stage.known.get((place, id)):
            await self._put(place, id, last_modified=self._random.choice([1000, version - 1]))

    async def post(self) -> None:
        """Create a record of a given id, or get the one there is."""
        place, id = self._any()
        token, data = self._content()
        sent = await self._send("POST", records(place), {"data": {"id": id, **data}})
        # What is there already is answered, and was read, not written.
        kind = "get" if sent.status == 200 else "post"
        self._note(sent, kind, place, id, token if kind == "post" else "")

    async def patch(self) -> None:
        """Change one field, the writer's own, and leave those of others."""
        place, id = self._any()
        token, data = self._content()
        sent = await self._send("PATCH", f"{records(place)}/{id}", {"data": data}, Content_Type=MERGE_PATCH)
        self._note(sent, "patch", place, id, token, patch=data)

    async def append(self) -> None:
        """Add an element to an array; a new one is begun where there is none, or it is long enough."""
        place = self._random.choice(STABLE)
        id, token = f"log-{self._stage.logs.setdefault(place, 0)}", self._token()
        sent = await self._append(place, id, token)
        items = sent.data.get("items", ())
        self._note(sent, "append", place, id, token, count=len(items))
        if len(items) >= LONGEST_LOG and id == f"log-{self._stage.logs[place]}":
            self._stage.logs[place] += 1
        if sent.status == 404:
            token = self._token()
            body = {"data": {"by": token, "items": []}}
            sent = await self._send("PUT", f"{records(place)}/{id}", body, If_None_Match="*")
            self._note(sent, "put", place, id, token, if_none_match=True)

    async def _append(self, place: str, id: str, token: str) -> Sent:
        """Send an append; sometimes with a key, and then again, until it is answered: it is done once all the same."""
        operations = [{"op": "add", "path": "/data/items/-", "value": token}]
        path, headers = f"{records(place)}/{id}", {"Content-Type": JSON_PATCH}
        if self._random.random() < 0.5:
            return await self._send("PATCH", path, operations, **headers)
        headers["Idempotency-Key"] = token
        sent = first = await self._send("PATCH", path, operations, **headers)
        while sent.status in (0, 503) and sent.end < first.start + PATIENCE_S:
            sent = await self._send("PATCH", path, operations, **headers)
        return sent._replace(start=first.start)

    async def delete(self) -> None:
        """Delete a record."""
        place, id = self._any()
        sent = await self._send("DELETE", f"{records(place)}/{id}")
        self._note(sent, "delete", place, id)

    async def delete_version(self) -> None:
        """Delete the version that was seen last."""
        place, id = self._any()
        version = self._stage.known.get((place, id), 1)
        sent = await self._send("DELETE", f"{records(place)}/{id}", If_Match=f'"{version}"')
        self._note(sent, "delete", place, id, if_match=version)

    async def get(self) -> None:
        """Read a record."""
        place, id = self._any()
        self._note(await self._send("GET", f"{records(place)}/{id}"), "get", place, id)

    # Several at once.

    async def delete_several(self) -> None:
        """Delete those of some records that are there."""
        place, ids = self._random.choice(LISTS), self._random.sample(PLAIN_IDS, 3)
        sent = await self._send("DELETE", f"{records(place)}?in_id={','.join(ids)}")
        gone = {each["id"]: each["last_modified"] for each in sent.data or ()}
        for id in ids:
            status = 404 if sent.status == 200 and id not in gone else sent.status
            self._emit(sent, "delete", place, id, status, version=gone.get(id, 0))

    async def batch(self) -> None:
        """Write both halves of a pair, and a record that others write, in either order of the lists."""
        token, data = self._content()
        pair = f"pair-{self.name}-{self._random.randrange(PAIRS)}"
        parts: list[Part] = [(place, pair, {}) for place in STABLE]
        shared = self._id()
        version = self._stage.known.get((STABLE[0], shared), 1)
        parts.append((STABLE[0], shared, self._random.choice([{}, {"If-Match": f'"{version}"'}])))
        self._random.shuffle(parts)
        await self._batch(parts, token, data)

    async def batch_that_fails(self) -> None:
        """Ask for all of a batch or nothing, with a part that cannot be done."""
        token, data = self._content()
        pair = f"pair-{self.name}-{self._random.randrange(PAIRS)}"
        parts: list[Part] = [(place, pair, {}) for place in self._random.sample(STABLE, len(STABLE))]
        parts.append((STABLE[1], self._id(), {"If-Match": IMPOSSIBLE}))
        await self._batch(parts, token, data, atomic=True)

    async def remake(self) -> None:
        """Delete a collection, and make it again."""
        for method, kind in (("DELETE", "drop"), ("PUT", "make")):
            self._emit(await self._send(method, collection(VOLATILE)), kind, VOLATILE)

    # Others.

    async def intrude(self) -> None:
        """Try to write without the right to, directly or in a batch."""
        place, id = self._random.choice([each for each in LISTS if each != OPEN]), self._id()
        token, data = self._content()
        path, body = f"{records(place)}/{id}", {"data": data}
        if self._random.random() < 0.5:
            sent = await self._send("PUT", path, body, Authorization=INTRUDER)
            status = sent.status
        else:
            parts = {"requests": [{"method": "PUT", "path": path, "body": body}]}
            sent = await self._send("POST", "/v1/batch", parts, Authorization=INTRUDER)
            status = sent.answer.body["responses"][0]["status"] if sent.answer and sent.status == 200 else sent.status
        self._emit(sent, "intrude", place, id, status, token=token)

    async def visit(self) -> None:
        """Create a record as somebody new, who may create there, and replace nothing (C22)."""
        id = self._id()
        sent, data, token = await self._send_put(OPEN, id, Authorization=basic(f"guest-{self._token()}"))
        self._note(sent, "visit", OPEN, id, token, patch=data)

    async def heartbeat(self) -> None:
        """Ask whether all is well."""
        self._emit(await self._send("GET", "/v1/__heartbeat__"), "heartbeat", "")

    # What the nemesis asks for.

    async def fill(self) -> None:
        """Write large records until there is no room for another one."""
        for number in range(BALLAST):
            sent = await self._put(STABLE[0], f"ballast-{number}", filler=FILLER * 20)
            if sent.status == 503:
                break

    async def clear(self) -> None:
        """Delete what was written to fill the disk."""
        for number in range(BALLAST):
            id = f"ballast-{number}"
            self._note(await self._send("DELETE", f"{records(STABLE[0])}/{id}"), "delete", STABLE[0], id)

    async def _put(self, place: str = "", id: str = "", **more: Any) -> Sent:
        if not place:
            place, id = self._any()
        sent, data, token = await self._send_put(place, id, more)
        self._note(sent, "put", place, id, token, patch=data)
        return sent

    async def _send_put(
        self, place: str, id: str, more: dict[str, Any] | None = None, **headers: str
    ) -> tuple[Sent, dict[str, str], str]:
        token, data = self._content()
        sent = await self._send("PUT", f"{records(place)}/{id}", {"data": {**data, **(more or {})}}, **headers)
        return sent, data, token

    async def _batch(
        self,
        parts: list[Part],
        token: str,
        data: dict[str, str],
        atomic: bool = False,
    ) -> None:
        requests = [
            {"method": "PUT", "path": f"{records(place)}/{id}", "headers": headers, "body": {"data": data}}
            for place, id, headers in parts
        ]
        sent = await self._send("POST", "/v1/batch", {"requests": requests, "atomic": atomic})
        done = sent.answer.body["responses"] if sent.answer and sent.status == 200 else [{}] * len(parts)
        for (place, id, headers), response in zip(parts, done, strict=True):
            answered = response["body"].get("data") if response else None
            self._emit(
                sent,
                "put",
                place,
                id,
                response.get("status", sent.status),
                token=token,
                batch=token,
                patch=data,
                fields=fields_of(answered) if answered else None,
                version=answered["last_modified"] if answered else 0,
                if_match=int(headers["If-Match"].strip('"')) if headers else 0,
            )


OPERATIONS: dict[Callable[[Writer], Awaitable[None]], float] = {
    Writer.put: 18,
    Writer.put_version: 10,
    Writer.put_new: 5,
    Writer.put_large: 3,
    Writer.put_past: 2,
    Writer.post: 7,
    Writer.patch: 14,
    Writer.append: 12,
    Writer.delete: 9,
    Writer.delete_version: 3,
    Writer.get: 5,
    Writer.delete_several: 2,
    Writer.batch: 8,
    Writer.batch_that_fails: 1.5,
    Writer.remake: 0.3,
    Writer.intrude: 2,
    Writer.visit: 3,
    Writer.heartbeat: 1,
}
"""How often each is done."""
