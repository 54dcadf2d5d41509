"""The OpenAPI operations of attachments.

Source: HTTP API, 6.6.
"""

from collections.abc import Mapping
from typing import Any, Final

_TEXT: Final = {"type": "string"}
_ABOUT: Final = {
    "type": "object",
    "properties": {
        "filename": _TEXT,
        "location": _TEXT,
        "hash": _TEXT,
        "mimetype": _TEXT,
        "size": {"type": "integer", "minimum": 0},
    },
    "required": ["filename", "location", "hash", "mimetype", "size"],
}
_FORM: Final = {
    "type": "object",
    "properties": {"attachment": {"type": "string", "format": "binary"}, "data": _TEXT, "permissions": _TEXT},
    "required": ["attachment"],
}
_FILE: Final = {"*/*": {"schema": {"type": "string", "format": "binary"}}}


def _answer(description: str, content: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"description": description, "content": content}


def _json(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"application/json": {"schema": schema}}


WRITES: Final[Mapping[str, Mapping[str, Any]]] = {
    "post": {
        "tags": ["Attachments"],
        "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": _FORM}}},
        "responses": {
            "200": _answer("The file of a record that was there.", _json(_ABOUT)),
            "201": _answer("The file of a new record.", _json(_ABOUT)),
        },
    },
    "delete": {"tags": ["Attachments"], "responses": {"204": {"description": "It is gone."}}},
}

FILE: Final[Mapping[str, Mapping[str, Any]]] = {
    **WRITES,
    "get": {
        "tags": ["Attachments"],
        "responses": {
            "200": _answer("The file.", _FILE),
            "206": _answer("A range of it.", _FILE),
            "304": {"description": "The file is the one that is known."},
            "416": {"description": "The range is behind its end."},
        },
    },
}

URL: Final[Mapping[str, Mapping[str, Any]]] = {
    "get": {
        "tags": ["Attachments"],
        "parameters": [{"name": "seconds", "in": "query", "schema": {"type": "integer", "minimum": 1}}],
        "responses": {
            "200": _answer(
                "The URL, and until when it serves, in milliseconds.",
                _json(
                    {
                        "type": "object",
                        "properties": {
                            "data": {
                                "type": "object",
                                "properties": {"url": _TEXT, "expires": {"type": "integer"}},
                                "required": ["url", "expires"],
                            }
                        },
                        "required": ["data"],
                    }
                ),
            )
        },
    }
}
