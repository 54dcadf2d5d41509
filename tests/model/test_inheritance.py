"""Which permission grants which: the table of the specification. Source: objects, 2.2 and 2.6; HTTP API, 5.2."""

from typing import Any

import pytest

from kobako.model.inheritance import lineage, on_list, on_object
from kobako.model.resource import Resource, Target
from kobako.resources import BUCKET, COLLECTION, GROUP, RECORD

B = "/buckets/b"
C = f"{B}/collections/c"
G = f"{B}/groups/g"
R = f"{C}/records/r"

URIS = {"B": B, "C": C, "G": G, "R": R}

BUCKETS = BUCKET.target("/buckets")
COLLECTIONS = COLLECTION.target(f"{B}/collections")
GROUPS = GROUP.target(f"{B}/groups")
RECORDS = RECORD.target(f"{C}/records")


def grants(text: str) -> set[tuple[str, str]]:
    """Return the grants in a row: `B.read C.record:create` are permissions in ACLs of the bucket and the collection."""
    return {(URIS[each[0]], each[2:]) for each in text.split()}


ON_OBJECT = [
    pytest.param(BUCKETS.at("b"), "write", "B.write", id="bucket write"),
    pytest.param(BUCKETS.at("b"), "read", "B.write B.read B.collection:create B.group:create", id="bucket attributes"),
    pytest.param(GROUPS.at("g"), "write", "B.write G.write", id="group write"),
    pytest.param(GROUPS.at("g"), "read", "B.write B.read G.write G.read", id="group read"),
    pytest.param(COLLECTIONS.at("c"), "write", "B.write C.write", id="collection write"),
    pytest.param(
        COLLECTIONS.at("c"), "read", "B.write B.read C.write C.read C.record:create", id="collection attributes"
    ),
    pytest.param(RECORDS.at("r"), "write", "B.write C.write R.write", id="record write"),
    pytest.param(RECORDS.at("r"), "read", "B.write B.read C.write C.read R.write R.read", id="record read"),
]

ON_LIST = [
    pytest.param(BUCKETS, "read", "", id="list buckets"),
    pytest.param(BUCKETS, "write", "", id="delete buckets"),
    pytest.param(BUCKETS, "create", "", id="create a bucket"),
    pytest.param(GROUPS, "read", "B.write B.read", id="list groups"),
    pytest.param(GROUPS, "write", "B.write", id="delete groups"),
    pytest.param(GROUPS, "create", "B.write B.group:create", id="create a group"),
    pytest.param(COLLECTIONS, "read", "B.write B.read", id="list collections"),
    pytest.param(COLLECTIONS, "write", "B.write", id="delete collections"),
    pytest.param(COLLECTIONS, "create", "B.write B.collection:create", id="create a collection"),
    pytest.param(RECORDS, "read", "B.write B.read C.write C.read", id="list records"),
    pytest.param(RECORDS, "write", "B.write C.write", id="delete records"),
    pytest.param(RECORDS, "create", "B.write C.write C.record:create", id="create a record"),
]


@pytest.mark.parametrize(("target", "action", "expected"), ON_OBJECT)
def test_a_right_on_an_object_is_granted_by_its_row(target: Target, action: Any, expected: str) -> None:
    assert on_object(target, action).grants == grants(expected)


@pytest.mark.parametrize(("target", "action", "expected"), ON_LIST)
def test_a_right_on_a_list_is_granted_by_its_row(target: Target, action: Any, expected: str) -> None:
    assert on_list(target, action).grants == grants(expected)


@pytest.mark.parametrize(("target", "action", "expected"), ON_LIST)
def test_the_list_of_an_object_is_its_own(target: Target, action: Any, expected: str) -> None:
    assert on_list(target.at("any"), action) == on_list(target, action)


# Settings: (what is asked, of the root or of what has a parent) -> the settings that grant it.
BY_SETTINGS = [
    pytest.param("read", {"read", "write"}, {"read"}, {"read", "write"}, id="read"),
    pytest.param("write", {"write"}, {"write"}, {"write"}, id="write"),
    pytest.param("create", None, {"create"}, {"create", "write"}, id="create"),
]


@pytest.mark.parametrize(("action", "of_object", "of_root", "of_children"), BY_SETTINGS)
def test_settings_grant_what_their_row_says(action: Any, of_object: Any, of_root: Any, of_children: Any) -> None:
    """`bucket_write_principals` opens neither the list of buckets nor their creation."""
    assert set(on_list(BUCKETS, action).actions) == of_root
    for target in (COLLECTIONS, GROUPS, RECORDS):
        assert set(on_list(target, action).actions) == of_children
    if of_object:
        for target in (BUCKETS, COLLECTIONS, GROUPS, RECORDS):
            assert set(on_object(target.at("x"), action).actions) == of_object


@pytest.mark.parametrize("target", [BUCKETS, COLLECTIONS, GROUPS, RECORDS])
def test_settings_of_one_kind_grant_nothing_on_another(target: Target) -> None:
    assert on_list(target, "read").resource == on_object(target.at("x"), "write").resource == target.resource.name


@pytest.mark.parametrize(
    ("target", "uris"),
    [
        (BUCKETS, []),
        (BUCKETS.at("b"), [B]),
        (COLLECTIONS, [B]),
        (COLLECTIONS.at("c"), [C, B]),
        (GROUPS.at("g"), [G, B]),
        (RECORDS, [C, B]),
        (RECORDS.at("r"), [R, C, B]),
    ],
)
def test_the_acls_that_decide_are_those_of_the_object_and_its_ancestors(target: Target, uris: list[str]) -> None:
    assert [*lineage(target)] == uris


def test_every_grant_is_looked_up() -> None:
    for each in (*ON_OBJECT, *ON_LIST):
        target, action, _ = each.values
        right = on_object(target, action) if target.id else on_list(target, action)
        assert {uri for uri, _ in right.grants} <= set(lineage(target))


def test_a_resource_of_a_toolkit_inherits_by_the_same_rule() -> None:
    comment = Resource(name="comment", path=RECORD.path + "/{record_id}/comments", parent=RECORD)
    comments = comment.target(f"{R}/comments")

    assert on_list(comments, "create").grants == {*grants("B.write C.write R.write"), (R, "comment:create")}
    assert on_object(comments.at("1"), "read").grants == {
        *grants("B.read B.write C.read C.write R.read R.write"),
        (f"{R}/comments/1", "read"),
        (f"{R}/comments/1", "write"),
    }
