"""Sending requests, and noting what came of them: what the writers have in common."""

import random
from typing import Any, NamedTuple

from tests.consistency.client import Answer, Client, Unanswered
from tests.consistency.history import UNKNOWN, Op
from tests.consistency.stage import Stage
from tests.consistency.world import LISTS, PLAIN_IDS, WRITER


class Sent(NamedTuple):
    """A request that was sent: when, and what was answered, None if nothing."""

    start: float
    end: float
    answer: Answer | None

    @property
    def status(self) -> int:
        """The status, UNKNOWN without an answer."""
        return self.answer.status if self.answer else UNKNOWN

    @property
    def data(self) -> dict[str, Any]:
        """The object that was answered, empty for an error."""
        return self.answer.body["data"] if self.answer and self.status < 300 else {}


class Sender:
    """Somebody with a connection, a name, and tokens for what they write."""

    def __init__(self, name: str, stage: Stage, seed: str) -> None:
        self.name = name
        self._stage = stage
        self._random = random.Random(seed)
        self._client = Client(stage.port, WRITER)
        self._tokens = 0
        self._field = f"f-{name}"

    def _any(self) -> tuple[str, str]:
        return self._random.choice(LISTS), self._id()

    def _id(self) -> str:
        """Return a plain record; a third of all requests are for a tenth of them."""
        return self._random.choice(PLAIN_IDS[:3] if self._random.random() < 0.3 else PLAIN_IDS)

    def _token(self) -> str:
        self._tokens += 1
        return f"{self.name}-{self._tokens}"

    def _content(self) -> tuple[str, dict[str, str]]:
        token = self._token()
        return token, {"by": token, self._field: token}

    async def _send(self, method: str, path: str, body: Any = None, **headers: str) -> Sent:
        await self._client.connect()
        start = self._stage.now()
        try:
            answer = await self._client.call(method, path, body, **headers)
        except Unanswered:
            answer = None
        return Sent(start, self._stage.now(), answer)

    def _note(self, sent: Sent, kind: str, place: str, id: str, token: str = "", **more: Any) -> None:
        """Note a request for one record."""
        data = sent.data
        version = data.get("last_modified", 0)
        if version:
            self._stage.known[place, id] = version
        fields = fields_of(data) if data and "items" not in data and kind != "delete" else None
        self._emit(sent, kind, place, id, sent.status, version=version, token=token, fields=fields, **more)

    def _emit(self, sent: Sent, kind: str, place: str, id: str = "", status: int | None = None, **more: Any) -> None:
        status = sent.status if status is None else status
        self._stage.emit(
            Op(start=sent.start, end=sent.end, writer=self.name, kind=kind, list=place, id=id, status=status, **more)
        )


def fields_of(data: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a record that writers compare."""
    return {name: value for name, value in data.items() if name not in ("id", "last_modified", "filler")}
