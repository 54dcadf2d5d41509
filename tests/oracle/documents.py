"""What the model does with documents: changes them, filters them, puts them in order. Naive, like the rest of it.

Source: objects, 1.6; HTTP API, 9.5, 9.7, 9.8, 9.10, 10.4, 10.5 and 11.4.
"""

from collections.abc import Callable
from typing import Any


class Unpatchable(Exception):
    """An operation of a JSON Patch that does not fit what is stored."""


Data, Acl = dict[str, Any], dict[str, set[str]]


def _replaced(data: Data, acl: Acl, body: Any) -> tuple[Data, Acl]:
    given = {name: set(who) for name, who in body.get("permissions", {}).items() if who is not None}
    return dict(body.get("data", data)), given or acl


def _completed(data: Data, acl: Acl, body: Any) -> tuple[Data, Acl]:
    given = {name: set(who) for name, who in body.get("permissions", {}).items() if who is not None}
    return {**data, **body.get("data", {})}, {**acl, **given}


def _merged(data: Data, acl: Acl, body: Any) -> tuple[Data, Acl]:
    changes = body.get("data", {})
    gone = {name for name, value in changes.items() if value is None}
    merged = {name: value for name, value in {**data, **changes}.items() if name not in gone}
    given = {name: set(who or ()) for name, who in body.get("permissions", {}).items()}
    return merged, {**acl, **given}


def _patched(data: Data, acl: Acl, body: Any) -> tuple[Data, Acl]:
    for each in body:
        _, top, name, *rest = each["path"].split("/")
        if top == "data" and each["op"] == "remove":
            if name not in data:
                raise Unpatchable
            del data[name]
        elif top == "data":
            data[name] = each["value"]
        else:
            principal = rest[0].replace("~1", "/").replace("~0", "~")
            who = acl.setdefault(name, set())
            if each["op"] == "remove" and principal not in who:
                raise Unpatchable
            (who.discard if each["op"] == "remove" else who.add)(principal)
    return data, acl


CHANGES: dict[str, Callable[[Data, Acl, Any], tuple[Data, Acl]]] = {
    "PUT": _replaced,
    "POST": _replaced,
    "plain": _completed,
    "merge": _merged,
    "json": _patched,
}

Item = tuple[float, dict[str, Any]]


def passes(shown_as: dict[str, Any], version: float, name: str, value: str) -> bool:
    n = shown_as.get("n")
    meanings: dict[str, Callable[[], bool]] = {
        "n": lambda: n == int(value),
        "not_n": lambda: n != int(value),
        "min_n": lambda: n is None or n >= int(value),
        "lt_n": lambda: n is not None and n < int(value),
        "has_n": lambda: (n is not None) == (value == "true"),
        "secret": lambda: shown_as.get("secret") == value,
        "like_secret": lambda: value in shown_as.get("secret", ""),
        "in_id": lambda: shown_as["id"] in value.split(","),
        "exclude_id": lambda: shown_as["id"] not in value.split(","),
        "_since": lambda: version > int(value.strip('"')),
    }
    if name in meanings:
        return meanings[name]()
    return name.startswith("_") or _passes_as_text(shown_as, name, value)


def _passes_as_text(shown_as: dict[str, Any], name: str, value: str) -> bool:
    """Tell whether a field passes `name`, `exclude_name` or `like_name`."""
    how, _, field = name.partition("_") if name.startswith(("exclude_", "like_")) else ("", "", name)
    found = field_of(shown_as, field)
    if how == "like":
        return found is not None and value in found
    return (found == value) != (how == "exclude")


def field_of(shown_as: dict[str, Any], path: str) -> Any:
    """Return the value of a field, perhaps one of an object in it (`target.data.n`), None where there is none."""
    found: Any = shown_as
    for name in path.split("."):
        found = found.get(name) if isinstance(found, dict) else None
    return found


def page(items: list[Item], query: dict[str, str]) -> tuple[list[Item], bool]:
    ordered = sorted(items, key=lambda each: -each[0])
    for field in reversed(query.get("_sort", "-last_modified").split(",")):
        name, down = field.lstrip("-"), field.startswith("-")
        # What is missing comes after everything, and before it where the order is reversed.
        ordered.sort(key=lambda each: _place(each, name), reverse=down)
    limit = int(query.get("_limit", "1000"))
    return ordered[:limit], len(ordered) > limit


def _place(item: Item, name: str) -> tuple[bool, Any]:
    version, shown_as = item
    value = version if name == "last_modified" else field_of(shown_as, name)
    return (value is None, value if value is not None else 0)


def projected(shown_as: dict[str, Any], query: dict[str, str]) -> dict[str, Any]:
    if "_fields" not in query:
        return shown_as
    return {name: value for name, value in shown_as.items() if name in ["id", *query["_fields"].split(",")]}
