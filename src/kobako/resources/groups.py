"""Groups: a principal that users have in common. Source: objects, 4."""

from collections.abc import Iterable
from itertools import islice
from typing import Any, Final

from kobako import (
    EVERYONE,
    NAME,
    Change,
    InvalidParameters,
    JsonObject,
    Problem,
    Resource,
    Target,
    Transaction,
    length_problem,
)
from kobako.resources.buckets import BUCKET

MAX_FAULTS: Final = 100
"""What is told of members who can be none, however many they are."""


def validated(data: JsonObject, path: str) -> JsonObject:
    """Return the data of a group, with its list of members. Raises InvalidParameters for one who can be none."""
    members = data.get("members", [])
    problems = list(islice(_faults(members, f"{path}members"), MAX_FAULTS))
    if problems:
        raise InvalidParameters(problems)
    return {**data, "members": members}


async def update_members(tx: Transaction, target: Target, change: Change) -> None:
    """Give the group's principal to those who joined, and take it from those who left."""
    if change.new.deleted:
        # The permission backend forgets a deleted object, as a principal too.
        return
    before = set(change.old.data().get("members", ())) if change.old else set[str]()
    after = set(change.new.data().get("members", ()))
    if joined := after - before:
        await tx.permission.join(target.uri, joined)
    if left := before - after:
        await tx.permission.leave(target.uri, left)


def _faults(members: Any, name: str) -> Iterable[Problem]:
    if not isinstance(members, list):
        text = "Required" if members is None else f'"{str(members)[:100]}" is not iterable'
        yield Problem("body", name, text)
        return
    for position, member in enumerate(members):
        if not isinstance(member, str):
            rule = "Required" if member is None else f"{str(member)[:100]} is not a string: {{'': ''}}"
            yield Problem("body", f"{name}.{position}", rule)
        elif wrong := length_problem(member):
            yield Problem("body", f"{name}.{position}", wrong)
        elif not member:
            yield Problem("body", f"{name}.{position}", "Required")
        elif member == EVERYONE or member.startswith("/buckets/"):
            # Groups do not nest, and everybody is in no group.
            yield Problem("body", f"{name}.{position}", f"'{member[:200]}' is not a valid user ID.")


GROUP: Final = Resource(
    name="group",
    path="/buckets/{bucket_id}/groups",
    parent=BUCKET,
    ids=NAME,
    validate=validated,
    data_schema={"properties": {"members": {"type": "array", "items": {"type": "string", "minLength": 1}}}},
    react=update_members,
)
