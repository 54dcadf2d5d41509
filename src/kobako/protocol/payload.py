"""The body of a request that writes: `{"data": {...}, "permissions": {...}}`, both optional.

Everything that is wrong with it is found at once, as Problems; their texts are what clients of the API know.

Source: HTTP API, sections 2.3 and 11.1.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, Final

import msgspec

from kobako.protocol import jsontext
from kobako.protocol.errors import MAX_PROBLEMS, InvalidParameters, Problem
from kobako.protocol.jsontext import JsonObject
from kobako.protocol.principals import length_problem

GivenPermissions = dict[str, list[str] | None]
"""Permission -> principals; None where the client wrote null."""


class Body(msgspec.Struct, frozen=True):
    """What a client sent: None for a member that is not there."""

    data: JsonObject | None = None
    permissions: GivenPermissions | None = None


_MEMBERS: Final = frozenset({"data", "permissions"})

EMPTY: Final = Body()


def parse(body: bytes, problems: list[Problem]) -> Any:
    """Return the JSON value of a body, None after adding to `problems` when it is not an object or an array."""
    try:
        value = jsontext.decode(body)
    except jsontext.InvalidJson as error:
        problems.append(Problem("body", "", f"Invalid JSON: {error}"))
    else:
        if isinstance(value, dict | list):
            return value
        problems.append(Problem("body", "", "Should be a JSON object or an array"))
    problems.append(Problem("body", "", "Required"))
    return None


def read(body: bytes, permissions: Sequence[str], problems: list[Problem]) -> Body:
    """Return what a body says, and add to `problems` what is wrong with it.

    `permissions` are the names that the resource has.
    """
    if not body:
        return EMPTY
    found: list[Problem] = []
    value = parse(body, found)
    if not found:
        found.extend(islice(_faults(value, permissions), MAX_PROBLEMS))
    problems.extend(found)
    return EMPTY if found else Body(value.get("data"), value.get("permissions"))


def checked(value: JsonObject, permissions: Sequence[str]) -> Body:
    """Return what a body says that is decoded already. Raises InvalidParameters."""
    if problems := list(islice(_faults(value, permissions), MAX_PROBLEMS)):
        raise InvalidParameters(problems)
    return Body(value.get("data"), value.get("permissions"))


def not_a_mapping(name: str, value: Any) -> Problem:
    """Return the problem of something that should have been a JSON object."""
    return Problem("body", name, f'"{shown(value)}" is not a mapping type: Does not implement dict-like functionality.')


def shown(value: Any) -> str:
    """Return a value for a message to a client: the beginning of it, where it is long."""
    text = repr(value)
    return text if len(text) <= 200 else text[:200] + "..."


def _faults(value: Any, permissions: Sequence[str]) -> Iterator[Problem]:
    if not isinstance(value, dict):
        yield not_a_mapping("", value)
        return
    if not value.keys() <= _MEMBERS:
        unknown = {name: each for name, each in value.items() if name not in _MEMBERS}
        yield Problem("body", "", f'Unrecognized keys in mapping: "{shown(unknown)}"')
    if "data" in value and not isinstance(value["data"], dict):
        yield not_a_mapping("data", value["data"])
    if "permissions" in value:
        yield from permission_faults(value["permissions"], permissions)


def permission_faults(given: Any, permissions: Sequence[str]) -> Iterator[Problem]:
    """Yield what is wrong with the `permissions` of a body."""
    if not isinstance(given, dict):
        yield not_a_mapping("permissions", given)
        return
    for name, principals in given.items():
        if not permissions:
            yield Problem("body", "permissions", "Objects of this kind have no permissions: they are their owner's")
        elif name not in permissions:
            yield Problem("body", "permissions", f'"{shown(name)[1:-1]}" is not one of {", ".join(permissions)}')
        elif isinstance(principals, list):
            yield from _principal_faults(name, principals)
        elif principals is not None:
            text = principals if isinstance(principals, str) else shown(principals)
            yield Problem("body", f"permissions.{name}", f'"{text[:200]}" is not iterable')


def _principal_faults(permission: str, principals: list[Any]) -> Iterator[Problem]:
    for position, principal in enumerate(principals):
        name = f"permissions.{permission}.{position}"
        if principal is None or principal == "":
            yield Problem("body", name, "Required")
        elif not isinstance(principal, str):
            yield Problem("body", name, f"{shown(principal)} is not a string: {{'': ''}}")
        elif wrong := length_problem(principal):
            yield Problem("body", name, wrong)
