"""Patches: what becomes of an object, by attributes, a merge patch (RFC 7396) or a JSON Patch (RFC 6902).

All take values and return new ones; what they are given stays as it was. A JSON Patch applies to a document,
`{"data": {...}, "permissions": {permission: {principal: principal}}}`, where every permission of the type is
present, so that principals are granted and revoked by path. All of its operations apply, or it fails with a
400. It is bounded, in length and in what it copies: fifty operations could double an array fifty times.

Source: HTTP API, sections 10.4 to 10.6; objects, section 1.6.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import jsonpatch
from jsonpointer import EndOfList, JsonPointer, JsonPointerException

from kobako.protocol import jsontext
from kobako.protocol.errors import InvalidParameters, Problem, invalid
from kobako.protocol.jsontext import JsonObject
from kobako.protocol.ordering import equal
from kobako.protocol.principals import length_problem

MAX_OPERATIONS = 1_000
"""Operations of one JSON Patch."""

MAX_COPIED = 1_000_000
"""Characters of JSON that one JSON Patch may copy inside of the document, and principals it may list anew."""

OPERATIONS = ("test", "add", "remove", "replace", "move", "copy")
_WITH_VALUE = ("test", "add", "replace")
_WITH_SOURCE = ("move", "copy")
_MEMBERS = frozenset({"op", "path", "value", "from"})

# What the libraries raise on a patch that does not fit the document, or on a document too deep for them.
_FAILURES = (
    jsonpatch.JsonPatchException,
    JsonPointerException,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)


def attributes(data: JsonObject, patch: JsonObject) -> JsonObject:
    """Return an object with the fields of the patch in place of its own; nothing can be removed.

    >>> attributes({"a": {"b": 1}, "c": 2}, {"a": {"d": None}})
    {'a': {'d': None}, 'c': 2}
    """
    return {**data, **patch}


def merge(target: Any, patch: Any) -> Any:
    """Return what a merge patch makes of a value: null removes, objects merge, anything else replaces.

    >>> merge({"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": None}, "d": {"e": None, "f": [None]}})
    {'a': {'c': 2}, 'd': {'f': [None]}}
    """
    if type(patch) is not dict:
        return patch
    merged = dict(target) if type(target) is dict else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge(merged.get(name), value)
    return merged


def light(provided: JsonObject, old: JsonObject, new: JsonObject) -> JsonObject:
    """Return what `Response-Behavior: light` shows: the fields provided that changed, as they are now."""
    kept = {name for name in provided if name in old and name in new and equal(old[name], new[name])}
    return {name: new[name] for name in provided if name in new and name not in kept}


def diff(provided: JsonObject, new: JsonObject) -> JsonObject:
    """Return what `Response-Behavior: diff` shows: fields that are not what was provided, as they are now."""
    return {name: new[name] for name in provided if name in new and not equal(provided[name], new[name])}


def as_document(data: JsonObject, acl: Mapping[str, Collection[str]], permissions: Collection[str]) -> JsonObject:
    """Return what a JSON Patch applies to; `permissions` are those that objects of this type have.

    >>> as_document({"size": 3}, {"read": ["bob"]}, ("read", "write"))
    {'data': {'size': 3}, 'permissions': {'read': {'bob': 'bob'}, 'write': {}}}
    """
    return {"data": data, "permissions": {name: _itself(acl.get(name, ())) for name in permissions}}


def apply_operations(
    document: JsonObject, operations: Sequence[JsonObject], permissions: Collection[str]
) -> JsonObject:
    """Return a document as the operations, which `check_operations` accepted, leave it.

    What it has under `permissions` serves as an ACL as it is. Whether `id` changed is for the caller to see.
    Raises InvalidParameters, naming no field, when an operation fails or the result could not be stored.

    >>> operations = [{"op": "add", "path": "/permissions/read/bob"}, {"op": "remove", "path": "/data/size"}]
    >>> apply_operations(as_document({"size": 3}, {}, ["read"]), operations, ["read"])
    {'data': {}, 'permissions': {'read': {'bob': 'bob'}}}
    """
    try:
        patched = _Document(document, permissions)
        for operation in operations:
            patched.apply(operation)
        return patched.result()
    except _FAILURES as error:
        raise invalid("body", None, f"JSON Patch operation failed: {str(error)[:200]}") from error


def check_operations(body: Any) -> list[JsonObject]:
    """Return the body of a JSON Patch as operations. Raises InvalidParameters, with all that is wrong."""
    if type(body) is not list:
        raise invalid("body", "", f'"{_shown(body)}" is not iterable')
    if len(body) > MAX_OPERATIONS:
        raise invalid("body", "", f"{len(body)} operations are more than the maximum of {MAX_OPERATIONS}")
    problems = [problem for index, each in enumerate(body) for problem in _problems(str(index), each)]
    if problems:
        raise InvalidParameters(problems)
    return body


class _Document:
    """The document of a JSON Patch while operations change it."""

    def __init__(self, document: JsonObject, permissions: Collection[str]):
        self.root: Any = jsontext.decode(jsontext.encode(document))  # A copy, faster than deepcopy.
        self.permissions = permissions
        self.copied = 0

    def apply(self, operation: JsonObject) -> None:
        op, target = operation["op"], _parts(operation["path"])
        source = _parts(operation["from"]) if op in _WITH_SOURCE else None
        self._check(target, source)
        if _names_principal(target):
            operation = {**operation, "value": target[-1]}
        if op == "test":
            return self._test(operation)
        if op == "copy":
            operation = {"op": "add", "path": operation["path"], "value": self._copy(operation["from"])}
        self.root = jsonpatch.JsonPatch([operation], pointer_cls=_Pointer).apply(self.root, in_place=True)
        for parts in filter(None, (source, target)):
            self._mend(parts)

    def result(self) -> JsonObject:
        data = self.root.get("data")
        if type(data) is not dict:
            raise ValueError("/data is not an object")
        jsontext.check(data)
        return {"data": data, "permissions": self.root["permissions"]}

    def _check(self, target: Sequence[str], source: Sequence[str] | None) -> None:
        for parts in filter(None, (source, target)):
            if parts[0] == "permissions" and len(parts) > 1:
                self._check_permission(parts[1])
        # Not every writer may read the ACL: an object is no place for it.
        if source and source[0] == "permissions" and target[0] != "permissions":
            raise ValueError("permissions can not be moved or copied into data")

    def _check_permission(self, name: str) -> None:
        if name not in self.permissions:
            raise invalid("body", "permissions", f'"{_shown(name)}" is not one of {", ".join(self.permissions)}')

    def _test(self, operation: JsonObject) -> None:
        if not equal(self._find(operation["path"]), operation["value"]):
            raise ValueError(f"{operation['path']} is not the value tested")

    def _copy(self, path: str) -> Any:
        text = jsontext.encode(self._find(path))
        self._spend(len(text))
        return jsontext.decode(text)

    def _find(self, path: str) -> Any:
        value = _Pointer(path).resolve(self.root)
        if isinstance(value, EndOfList):
            raise ValueError(f"{path} is after the last element")
        return value

    def _spend(self, size: int) -> None:
        self.copied += size
        if self.copied > MAX_COPIED:
            raise ValueError(f"it copies more than {MAX_COPIED} characters")

    def _mend(self, parts: Sequence[str]) -> None:
        """Make the permissions a document again, after an operation on this path."""
        if parts[0] != "permissions":
            return
        acl = self.root.setdefault("permissions", {})
        if type(acl) is not dict:
            raise ValueError("/permissions is not an object")
        for name in self.permissions:
            acl.setdefault(name, {})
        if len(parts) > 2:
            self._mend_principal(acl[parts[1]], parts[2])
            return
        for name in parts[1:] or list(acl):
            self._check_permission(name)
            acl[name] = self._principals(name, acl[name])

    @staticmethod
    def _mend_principal(principals: JsonObject, name: str) -> None:
        if not name:
            raise ValueError("a principal is not empty")
        if wrong := length_problem(name):
            raise ValueError(f"principal {wrong}")
        if name in principals:
            principals[name] = name

    def _principals(self, name: str, value: Any) -> JsonObject:
        if type(value) not in (list, dict) or not all(type(each) is str and each for each in value):
            raise ValueError(f"/permissions/{name} is neither a list of principals nor an object with them as keys")
        if wrong := next(filter(None, map(length_problem, value)), None):
            raise ValueError(f"principal {wrong}")
        self._spend(len(value))
        return _itself(value)


class _Pointer(JsonPointer):
    """A JSON Pointer whose errors do not show the document."""

    def walk(self, doc: Any, part: str | int) -> Any:
        if type(doc) is dict and part not in doc:
            raise JsonPointerException(f"member '{part}' not found")
        return super().walk(doc, part)


def _parts(path: str) -> list[str]:
    """Return the steps of a path, without escapes."""
    return list(_Pointer(path).parts)


def _names_principal(parts: Sequence[str]) -> bool:
    return len(parts) > 2 and parts[0] == "permissions"


def _itself(principals: Collection[str]) -> JsonObject:
    return {each: each for each in principals}


def _problems(index: str, operation: Any) -> Iterator[Problem]:
    if type(operation) is not dict:
        rule = "is not a mapping type: Does not implement dict-like functionality."
        yield Problem("body", index, f'"{_shown(operation)}" {rule}')
        return
    unknown = {name: value for name, value in operation.items() if name not in _MEMBERS}
    if unknown:
        yield Problem("body", index, f'Unrecognized keys in mapping: "{_shown(unknown)}"')
    for member, wrong in _wrong_members(operation):
        if wrong:
            yield Problem("body", f"{index}.{member}", wrong)


def _wrong_members(operation: JsonObject) -> Iterator[tuple[str, str | None]]:
    op, path, source = operation.get("op"), operation.get("path"), operation.get("from")
    yield "op", _wrong_text(op, "op") or _wrong_choice(op)
    yield "path", _wrong_text(path, "path") or _wrong_path(path)
    if op in _WITH_SOURCE or source is not None:
        yield "from", _wrong_text(source, "from") or _wrong_path(source)
    if op in _WITH_VALUE and "value" not in operation and not _below_permission(path):
        yield "value", "Required"


def _wrong_text(value: Any, name: str) -> str | None:
    if value is None or value == "":
        return "Required"
    return None if type(value) is str else f"{_shown(value)} is not a string: {{'{name}': ''}}"


def _wrong_choice(op: Any) -> str | None:
    return None if op in OPERATIONS else f'"{_shown(op)}" is not one of {", ".join(OPERATIONS)}'


def _wrong_path(path: Any) -> str | None:
    return None if path.startswith("/") else "String does not match expected pattern"


def _below_permission(path: Any) -> bool:
    """Tell whether a path names a principal: the operation needs no value, and ignores one."""
    return type(path) is str and path.startswith("/permissions/") and path.count("/") > 2


def _shown(value: Any) -> str:
    """Return a value as messages show it; a large one is cut."""
    return str(value)[:100]
