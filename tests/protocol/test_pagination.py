"""Page tokens (HTTP API, 9.8; reliability, 4.7)."""

import base64
import json
from typing import Any

import pytest

from kobako.protocol import pagination
from kobako.protocol.errors import InvalidParameters
from kobako.protocol.pagination import Token
from kobako.protocol.selection import MISSING, NEWEST_FIRST, Sort

SORT = (Sort("n"), Sort("o.k", True), *NEWEST_FIRST)


@pytest.mark.parametrize(
    "token",
    [
        Token((1, "é", 5), 10),
        Token((None, MISSING, 5), 10, "nonce"),
        Token((MISSING, [1, {"a": None}], 2**62), 0),
        Token((2**80, 1e300, 5), 2**62),
        Token(("", "\"'\\", 5), 1),
    ],
)
def test_a_token_is_read_as_it_was_written(token: Token) -> None:
    text = pagination.write(token, SORT)

    assert pagination.read(text, SORT) == token
    assert not set("+ /&?#") & set(text)


@pytest.mark.parametrize("text", ["", "null"])
def test_an_empty_token_is_none(text: str) -> None:
    assert pagination.read(text, SORT) is None


def encoded(wire: Any) -> str:
    """Return a token as a client might make it up."""
    return base64.urlsafe_b64encode(json.dumps(wire).encode()).decode()


PLACE = {"last_modified": 5}


@pytest.mark.parametrize(
    "text",
    [
        "abc",
        "é",
        "!!!!",
        "A" * 1_000_000,
        base64.b64encode(b"\xff").decode(),
        base64.urlsafe_b64encode(b"[" * 40_000).decode(),
        encoded([]),
        encoded("a"),
        encoded({}),
        encoded({"last_object": PLACE, "timestamp": 1}),
        encoded({"last_object": [PLACE], "timestamp": 1, "nonce": ""}),
        encoded({"last_object": PLACE, "timestamp": 1.5, "nonce": ""}),
        encoded({"last_object": PLACE, "timestamp": -1, "nonce": ""}),
        encoded({"last_object": PLACE, "timestamp": 2**63, "nonce": ""}),
        encoded({"last_object": PLACE, "timestamp": True, "nonce": ""}),
        encoded({"last_object": PLACE, "timestamp": 1, "nonce": None}),
        encoded({"last_object": {}, "timestamp": 1, "nonce": ""}),
        encoded({"last_object": {"last_modified": "5"}, "timestamp": 1, "nonce": ""}),
        encoded({"last_object": {"last_modified": 5.0}, "timestamp": 1, "nonce": ""}),
        encoded({"last_object": {"last_modified": True}, "timestamp": 1, "nonce": ""}),
        encoded({"last_object": {"last_modified": 2**63}, "timestamp": 1, "nonce": ""}),
        encoded({"last_object": {**PLACE, "n": "a" * pagination.MAX_LENGTH}, "timestamp": 1, "nonce": ""}),
        encoded({"last_object": {**PLACE, "n": "\x00"}, "timestamp": 1, "nonce": ""}),
        encoded({"last_object": {**PLACE, "n": 10**400}, "timestamp": 1, "nonce": ""}),
    ],
)
def test_what_was_never_written_is_refused(text: str) -> None:
    """P2, I7."""
    with pytest.raises(InvalidParameters, match="_token has invalid content"):
        pagination.read(text, SORT)


def test_a_place_among_ids_is_a_text() -> None:
    wire = {"last_object": {**PLACE, "id": 1}, "timestamp": 1, "nonce": ""}

    with pytest.raises(InvalidParameters):
        pagination.read(encoded(wire), (Sort("id"), *NEWEST_FIRST))


def test_in_a_sparse_list_an_id_may_be_missing() -> None:
    sort = (Sort("id"), Sort("uri"))
    token = Token((MISSING, "/"), 1)

    assert pagination.read(pagination.write(token, sort), sort, sparse=True) == token
    with pytest.raises(InvalidParameters):
        pagination.read(pagination.write(token, sort), sort)
