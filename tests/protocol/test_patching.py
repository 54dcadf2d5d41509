"""The three dialects of PATCH: HTTP API 10.4 to 10.6; objects, section 1.6; reliability I27."""

import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kobako.protocol import jsontext
from kobako.protocol.errors import InvalidParameters
from kobako.protocol.patching import (
    MAX_COPIED,
    MAX_OPERATIONS,
    apply_operations,
    as_document,
    attributes,
    check_operations,
    diff,
    light,
    merge,
)

PERMISSIONS = ("read", "write", "record:create")
ALICE, GROUP = "account:alice", "/buckets/b/groups/g"
FAILED = "JSON Patch operation failed: "


def patched(data, acl, *operations):
    """Check and apply operations as an endpoint does; return data and, of the permissions, who has which."""
    document = as_document(data, acl, PERMISSIONS)
    result = apply_operations(document, check_operations(list(operations)), PERMISSIONS)
    assert all(list(who) == list(who.values()) for who in result["permissions"].values())
    return result["data"], {name: sorted(who) for name, who in result["permissions"].items() if who}


def op(name, path, **members):
    return {"op": name, "path": path, **members}


def move(source, path):
    return op("move", path, **{"from": source})


def copied(source, path):
    return op("copy", path, **{"from": source})


@pytest.mark.parametrize(
    ("data", "patch", "result"),
    [
        pytest.param({"a": 1}, {"b": 2}, {"a": 1, "b": 2}, id="a new field"),
        pytest.param({"a": 1}, {"a": 2}, {"a": 2}, id="another value"),
        pytest.param({"a": 1}, {"a": None}, {"a": None}, id="null is a value"),
        pytest.param({"a": {"x": 1}}, {"a": {"y": 2}}, {"a": {"y": 2}}, id="sub-objects are replaced whole"),
        pytest.param({"a": [1, 2]}, {"a": [3]}, {"a": [3]}, id="arrays are replaced whole"),
        pytest.param({"a": 1}, {}, {"a": 1}, id="nothing"),
    ],
)
def test_attributes_replace_fields(data, patch, result):
    before = copy.deepcopy(data)

    assert attributes(data, patch) == result
    assert data == before


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        pytest.param({"a": "b"}, {"a": "c"}, {"a": "c"}, id="RFC 7396, 1"),
        pytest.param({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}, id="RFC 7396, 2"),
        pytest.param({"a": "b"}, {"a": None}, {}, id="RFC 7396, 3"),
        pytest.param({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}, id="RFC 7396, 4"),
        pytest.param({"a": ["b"]}, {"a": "c"}, {"a": "c"}, id="RFC 7396, 5"),
        pytest.param({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}, id="RFC 7396, 6"),
        pytest.param({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}, id="RFC 7396, 7"),
        pytest.param({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}, id="RFC 7396, 8"),
        pytest.param({"e": None}, {"a": 1}, {"e": None, "a": 1}, id="RFC 7396, 13"),
        pytest.param({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}, id="nulls of a new sub-object"),
        pytest.param({"a": 1}, {"a": {"z": 1, "n": None}}, {"a": {"z": 1}}, id="an object over a number"),
        pytest.param({}, {"a": [None, {"b": None}]}, {"a": [None, {"b": None}]}, id="nulls in an array stay"),
        pytest.param({"a": 1}, {"x": None}, {"a": 1}, id="removing nothing"),
    ],
)
def test_a_merge_patch_merges_objects_at_any_depth(target, patch, result):
    before = copy.deepcopy(target)

    assert merge(target, patch) == result
    assert target == before


def test_the_deepest_merge_patch_is_merged():
    deep = {}
    for _ in range(jsontext.MAX_DEPTH - 1):
        deep = {"a": deep}

    assert merge({}, deep) == deep


DATA = {"id": "r1", "n": 1, "list": [1, 2], "o": {"a/b": 1, "m~n": 2, "": 3}, "s": "text"}


@pytest.mark.parametrize(
    ("operation", "changed"),
    [
        pytest.param(op("add", "/data/new", value=None), {"new": None}, id="add a field"),
        pytest.param(op("add", "/data/n", value=2), {"n": 2}, id="add over a field"),
        pytest.param(op("add", "/data/list/1", value=9), {"list": [1, 9, 2]}, id="add into an array"),
        pytest.param(op("add", "/data/list/2", value=9), {"list": [1, 2, 9]}, id="add at the end, by index"),
        pytest.param(op("add", "/data/list/-", value=9), {"list": [1, 2, 9]}, id="add at the end"),
        pytest.param(op("replace", "/data/list/0", value=9), {"list": [9, 2]}, id="replace an element"),
        pytest.param(op("replace", "/data/o", value=[]), {"o": []}, id="replace a field"),
        pytest.param(op("remove", "/data/list/0"), {"list": [2]}, id="remove an element"),
        pytest.param(move("/data/n", "/data/list/0"), {"n": ..., "list": [1, 1, 2]}, id="move"),
        pytest.param(move("/data/n", "/data/n"), {}, id="move to itself"),
        pytest.param(copied("/data/list", "/data/l2"), {"l2": [1, 2]}, id="copy"),
        pytest.param(copied("/data", "/data/o"), {"o": DATA}, id="copy into itself"),
        pytest.param(op("test", "/data/n", value=1.0), {}, id="test: 1 is 1.0"),
        pytest.param(op("test", "/data/list", value=[1, 2]), {}, id="test an array"),
        pytest.param(op("replace", "/data/o/a~1b", value=9), {"o": {**DATA["o"], "a/b": 9}}, id="escaped slash"),
        pytest.param(op("test", "/data/o/m~0n", value=2), {}, id="escaped tilde"),
        pytest.param(op("test", "/data/o/", value=3), {}, id="empty name"),
        pytest.param(op("add", "/data/-", value=1), {"-": 1}, id="a field named -"),
        pytest.param(op("add", "/data/01", value=1), {"01": 1}, id="a field named 01"),
        pytest.param(op("add", "/other", value=1), {}, id="outside of data and permissions"),
        pytest.param(op("replace", "/data", value={"x": 1}), {**dict.fromkeys(DATA, ...), "x": 1}, id="all data"),
    ],
)
def test_an_operation_changes_data(operation, changed):
    expected = {key: value for key, value in {**DATA, **changed}.items() if value is not ...}

    data, _ = patched(DATA, {}, operation)

    assert data == expected


def test_a_copy_does_not_change_with_its_original():
    data, _ = patched(DATA, {}, copied("/data/list", "/data/l2"), op("add", "/data/list/-", value=3))

    assert data["l2"] == [1, 2]


def test_operations_apply_one_after_the_other():
    operations = [op("remove", "/data"), op("add", "/data", value={}), op("add", "/data/a", value=[])]

    assert patched(DATA, {}, *operations) == ({"a": []}, {})


def test_no_operations_change_nothing():
    assert patched(DATA, {"read": [ALICE]}) == (DATA, {"read": [ALICE]})


@pytest.mark.parametrize(
    ("operations", "acl"),
    [
        pytest.param([op("add", "/permissions/read/bob")], {"read": [ALICE, "bob"]}, id="grant without value"),
        pytest.param(
            [op("add", "/permissions/read/bob", value=[1])], {"read": [ALICE, "bob"]}, id="a value is ignored"
        ),
        pytest.param([op("add", f"/permissions/read/{ALICE}")], {"read": [ALICE]}, id="grant again"),
        pytest.param(
            [op("add", "/permissions/write/~1buckets~1b~1groups~1g")],
            {"read": [ALICE], "write": [GROUP]},
            id="a principal with slashes",
        ),
        pytest.param(
            [op("add", "/permissions/record:create/bob")],
            {"read": [ALICE], "record:create": ["bob"]},
            id="any permission of the type, empty before",
        ),
        pytest.param([op("remove", f"/permissions/read/{ALICE}")], {}, id="revoke"),
        pytest.param([op("test", f"/permissions/read/{ALICE}")], {"read": [ALICE]}, id="test"),
        pytest.param([op("replace", f"/permissions/read/{ALICE}")], {"read": [ALICE]}, id="replace one by itself"),
        pytest.param([op("replace", "/permissions/read", value=["x", "y"])], {"read": ["x", "y"]}, id="by a list"),
        pytest.param(
            [op("replace", "/permissions/read", value={"x": 1, "y": None})], {"read": ["x", "y"]}, id="by an object"
        ),
        pytest.param([op("add", "/permissions/read", value=["x", "x"])], {"read": ["x"]}, id="add a whole one"),
        pytest.param([op("replace", "/permissions/read", value=[])], {}, id="by nothing"),
        pytest.param([op("remove", "/permissions/read")], {}, id="clear"),
        pytest.param(
            [op("remove", "/permissions/read"), op("add", "/permissions/read/bob")],
            {"read": ["bob"]},
            id="cleared, it is still there",
        ),
        pytest.param([op("remove", "/permissions"), op("add", "/permissions/write/x")], {"write": ["x"]}, id="all"),
        pytest.param([op("replace", "/permissions", value={"write": ["x"]})], {"write": ["x"]}, id="all replaced"),
        pytest.param([move("/permissions/read", "/permissions/write")], {"write": [ALICE]}, id="move one"),
        pytest.param(
            [copied("/permissions/read", "/permissions/write")], {"read": [ALICE], "write": [ALICE]}, id="copy one"
        ),
        pytest.param(
            [copied("/data/n", "/permissions/read/bob")],
            {"read": [ALICE, "bob"]},
            id="the principal is the key, whatever is copied there",
        ),
        pytest.param([copied("/data/who", "/permissions/read")], {"read": ["x", "y"]}, id="principals of data"),
    ],
)
def test_an_operation_changes_permissions(operations, acl):
    data = {"n": 1, "who": ["y", "x"]}

    assert patched(data, {"read": [ALICE]}, *operations) == (data, acl)


def test_permissions_without_principals_are_there_to_be_cleared():
    result = apply_operations(as_document({}, {}, PERMISSIONS), [], PERMISSIONS)

    assert result == {"data": {}, "permissions": {"read": {}, "write": {}, "record:create": {}}}


def deep_operations():
    """Documents of 200 levels, each added at the end of the one before."""
    value = {}
    for _ in range(190):
        value = {"a": value}
    return [op("add", "/data/n" + "/a" * 190 * depth, value=value) for depth in range(60)]


@pytest.mark.parametrize(
    "operations",
    [
        pytest.param([op("remove", "/")], id="remove the root"),
        pytest.param([op("remove", "/data")], id="remove all data"),
        pytest.param([op("replace", "/data", value=[])], id="data becomes an array"),
        pytest.param([op("replace", "/data", value="x")], id="data becomes a string"),
        pytest.param([op("add", "/data", value=None)], id="data becomes null"),
        pytest.param([move("/data", "/data/x")], id="move into its child"),
        pytest.param([move("/data/o", "/data/o/x")], id="move a field into its child"),
        pytest.param([move("/data", "/other")], id="data moves away"),
        pytest.param([move("/permissions", "/permissions/read")], id="move permissions into themselves"),
        pytest.param([op("remove", "/data/unknown")], id="remove what is not there"),
        pytest.param([op("replace", "/data/unknown", value=1)], id="replace what is not there"),
        pytest.param([op("test", "/data/unknown", value=None)], id="test what is not there"),
        pytest.param([move("/data/unknown", "/data/x")], id="move what is not there"),
        pytest.param([copied("/data/unknown", "/data/x")], id="copy what is not there"),
        pytest.param([op("add", "/data/unknown/x", value=1)], id="add below what is not there"),
        pytest.param([op("add", "/other/x", value=1)], id="add below what is not there, outside"),
        pytest.param([op("add", "/data/n/x", value=1)], id="below a number"),
        pytest.param([op("add", "/data/s/0", value=1)], id="below a string"),
        pytest.param([op("remove", "/data/s/0")], id="a character"),
        pytest.param([op("test", "/data/s/0", value="t")], id="test a character"),
        pytest.param([copied("/data/s/0", "/data/x")], id="copy a character"),
        pytest.param([op("test", "/data/n", value=True)], id="test: 1 is not true"),
        pytest.param([op("test", "/data/n", value="1")], id="test: 1 is not '1'"),
        pytest.param([op("test", "/data/list/-", value=1)], id="test after the end"),
        pytest.param([op("remove", "/data/list/-")], id="remove after the end"),
        pytest.param([op("replace", "/data/list/-", value=1)], id="replace after the end"),
        pytest.param([copied("/data/list/-", "/data/x")], id="copy after the end"),
        pytest.param([move("/data/list/-", "/data/x")], id="move after the end"),
        pytest.param([op("add", "/data/list/-/x", value=1)], id="below after the end"),
        pytest.param([op("add", "/data/list/4", value=1)], id="index after the end"),
        pytest.param([op("remove", "/data/list/3")], id="index of no element"),
        pytest.param([op("remove", "/data/list/01")], id="index with a zero"),
        pytest.param([op("remove", "/data/list/-1")], id="negative index"),
        pytest.param([op("remove", "/data/list/1.0")], id="index with a fraction"),
        pytest.param([op("remove", "/data/list/x")], id="index of letters"),
        pytest.param([op("remove", "/data/list/" + "9" * 20)], id="large index"),
        pytest.param([op("remove", "/data/list/" + "9" * 5_000)], id="huge index"),
        pytest.param([op("add", "/data/list/²", value=1)], id="index of other digits"),
        pytest.param([op("add", "/data/~2", value=1)], id="bad escape"),
        pytest.param([op("add", "/data/~", value=1)], id="unfinished escape"),
        pytest.param([copied("/data/~2", "/data/x")], id="bad escape of the source"),
        pytest.param(deep_operations(), id="deeper and deeper"),
        pytest.param([*deep_operations(), copied("/data/n", "/data/x")], id="too deep to be copied"),
        pytest.param([op("remove", "/permissions/read/bob")], id="revoke what was not granted"),
        pytest.param([op("test", "/permissions/read/bob")], id="test what was not granted"),
        pytest.param([op("replace", "/permissions/read/bob")], id="replace what was not granted"),
        pytest.param([op("add", "/permissions/read/")], id="grant to nobody"),
        pytest.param([op("add", f"/permissions/read/{ALICE}/x")], id="below a principal"),
        pytest.param([op("add", "/permissions/read/a/b")], id="a principal with slashes as they are"),
        pytest.param([op("replace", "/permissions/read", value="x")], id="a string as principals"),
        pytest.param([op("replace", "/permissions/read", value=None)], id="null as principals"),
        pytest.param([op("replace", "/permissions/read", value=[1])], id="a number as principal"),
        pytest.param([op("replace", "/permissions/read", value=[""])], id="an empty principal"),
        pytest.param([op("replace", "/permissions/read", value={"": 1})], id="an empty principal as key"),
        pytest.param([op("replace", "/permissions", value=[])], id="permissions become an array"),
        pytest.param([copied("/permissions/read", "/data/x")], id="permissions are not for data"),
        pytest.param([move("/permissions", "/other")], id="nor for anything else"),
    ],
)
def test_an_operation_that_fails_is_a_400_and_changes_nothing(operations):
    document = as_document(copy.deepcopy(DATA), {"read": [ALICE]}, PERMISSIONS)
    before = copy.deepcopy(document)
    # What comes first would succeed: it must not show either.
    all_operations = check_operations([op("add", "/data/o/first", value=0), *operations])

    with pytest.raises(InvalidParameters) as failure:
        apply_operations(document, all_operations, PERMISSIONS)

    assert failure.value.status == 400
    (problem,) = failure.value.details
    assert (problem["location"], problem["name"]) == ("body", None)
    assert problem["description"].startswith(FAILED)
    assert len(problem["description"]) <= len(FAILED) + 200
    assert document == before


@pytest.mark.parametrize(
    "operation",
    [
        pytest.param(op("add", "/permissions/foo/bob"), id="grant"),
        pytest.param(op("remove", "/permissions/foo"), id="clear"),
        pytest.param(op("test", "/permissions/foo/bob"), id="test"),
        pytest.param(op("replace", "/permissions", value={"foo": []}), id="replace all"),
        pytest.param(copied("/permissions/foo", "/permissions/read"), id="copy"),
    ],
)
def test_a_permission_that_the_type_does_not_have_is_a_400(operation):
    with pytest.raises(InvalidParameters) as failure:
        patched(DATA, {}, operation)

    assert failure.value.details == [
        {
            "location": "body",
            "name": "permissions",
            "description": '"foo" is not one of read, write, record:create',
        }
    ]


@pytest.mark.parametrize(
    ("operation", "reason"),
    [
        pytest.param(op("remove", "/data/x"), "can't remove a non-existent object 'x'", id="remove"),
        pytest.param(op("add", "/data/x/y", value=1), "member 'x' not found", id="below"),
        pytest.param(op("test", "/data/n", value=2), "/data/n is not the value tested", id="test"),
        pytest.param(op("test", "/data/list/-", value=2), "/data/list/- is after the last element", id="end"),
        pytest.param(op("replace", "/data", value=1), "/data is not an object", id="data"),
    ],
)
def test_a_failure_tells_its_reason(operation, reason):
    with pytest.raises(InvalidParameters) as failure:
        patched(DATA, {}, operation)

    assert failure.value.message == f"body: {FAILED}{reason}"


def test_a_failure_does_not_show_the_document():
    with pytest.raises(InvalidParameters) as failure:
        patched({}, {"read": [ALICE]}, op("test", "/permissions/read/bob"))

    assert "alice" not in str(failure.value.body())


@pytest.mark.parametrize(
    "operations",
    [
        pytest.param([copied("/data/list", "/data/list/-")] * 200, id="an array doubles"),
        pytest.param([copied("/data", "/data/x")] * 200, id="data doubles"),
        pytest.param([copied("/data/long", f"/data/x{n}") for n in range(200)], id="one text, many times"),
        pytest.param(
            [move("/permissions/read", "/permissions/write"), move("/permissions/write", "/permissions/read")]
            * (MAX_OPERATIONS // 2),
            id="many principals move",
        ),
    ],
)
def test_what_a_patch_copies_is_bounded(operations):
    data = {"list": [1], "long": "x" * (MAX_COPIED // 100)}
    acl = {"read": [str(n) for n in range(5_000)]}

    with pytest.raises(InvalidParameters, match="copies more than"):
        patched(data, acl, *operations)


def test_as_many_operations_as_allowed_apply():
    data, _ = patched({"list": []}, {}, *[op("add", "/data/list/-", value=1)] * MAX_OPERATIONS)

    assert len(data["list"]) == MAX_OPERATIONS


@pytest.mark.parametrize(
    ("body", "name", "description"),
    [
        pytest.param({}, "", '"{}" is not iterable', id="an object"),
        pytest.param([op("remove", "/data/x")] * 10_000, "", "10000 operations are more than", id="too many"),
        pytest.param([1], "0", '"1" is not a mapping type', id="a number"),
        pytest.param([op("test", "/data", value=1), None], "1", '"None" is not a mapping type', id="second"),
        pytest.param([op("remove", "/data/x", foo=1)], "0", "Unrecognized keys in mapping: ", id="unknown member"),
        pytest.param([{"path": "/data/x"}], "0.op", "Required", id="no op"),
        pytest.param([op(None, "/data/x")], "0.op", "Required", id="null op"),
        pytest.param([op(1, "/data/x")], "0.op", "1 is not a string", id="a number as op"),
        pytest.param([op(["add"], "/data/x")], "0.op", "['add'] is not a string", id="a list as op"),
        pytest.param([op("Add", "/data/x", value=1)], "0.op", '"Add" is not one of test, add', id="unknown op"),
        pytest.param([{"op": "remove"}], "0.path", "Required", id="no path"),
        pytest.param([op("remove", "")], "0.path", "Required", id="the root"),
        pytest.param([op("remove", "data/x")], "0.path", "String does not match", id="path without slash"),
        pytest.param([op("remove", ["/data"])], "0.path", "['/data'] is not a string", id="a list as path"),
        pytest.param([op("add", {"a": 1}, value=1)], "0.path", "{'a': 1} is not a string", id="an object as path"),
        pytest.param([op("add", "/data/x")], "0.value", "Required", id="add without value"),
        pytest.param([op("replace", "/data/x")], "0.value", "Required", id="replace without value"),
        pytest.param([op("test", "/data/x")], "0.value", "Required", id="test without value"),
        pytest.param([op("replace", "/permissions/read")], "0.value", "Required", id="a permission needs one"),
        pytest.param([op("move", "/data/x")], "0.from", "Required", id="move without from"),
        pytest.param([op("copy", "/data/x")], "0.from", "Required", id="copy without from"),
        pytest.param([copied(1, "/data/x")], "0.from", "1 is not a string", id="a number as from"),
        pytest.param([copied("data", "/data/x")], "0.from", "String does not match", id="from without slash"),
    ],
)
def test_a_body_that_is_no_json_patch_is_a_400(body, name, description):
    with pytest.raises(InvalidParameters) as failure:
        check_operations(body)

    (problem,) = failure.value.details
    assert (problem["location"], problem["name"]) == ("body", name)
    assert problem["description"].startswith(description)


def test_all_that_is_wrong_with_a_body_is_told():
    with pytest.raises(InvalidParameters) as failure:
        check_operations([{"op": "add"}, op("x", "/data"), 3])

    assert [each["name"] for each in failure.value.details] == ["0.path", "0.value", "1.op", "2"]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param([], id="no operations"),
        pytest.param([op("add", "/data/x", value=None)], id="null is a value"),
        pytest.param([op("add", "/permissions/read/bob")], id="a principal needs no value"),
        pytest.param([op("remove", "/data/x", value=1)], id="a value too many"),
        pytest.param([op("remove", "/data/~2")], id="only the beginning of a path is looked at"),
    ],
)
def test_a_json_patch_is_taken_as_it_is(body):
    assert check_operations(body) == body


NAMES = st.sampled_from(["data", "permissions", "read", "write", "a", "b", "0", "1", "01", "-", "", "~0", "~1", "~2"])
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=5)
PATHS = st.lists(NAMES, max_size=5).map(lambda parts: "/" + "/".join(parts)) | TEXTS
SCALARS = st.none() | st.booleans() | st.integers(-(10**300) + 1, 10**300 - 1) | TEXTS
VALUES = st.recursive(
    SCALARS | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)
OPERATIONS = st.builds(
    lambda name, path, source, value: {"op": name, "path": path, "from": source, "value": value},
    st.sampled_from(["test", "add", "remove", "replace", "move", "copy"]),
    PATHS,
    PATHS,
    VALUES,
)
ANYTHING = st.dictionaries(st.sampled_from(["op", "path", "from", "value", "x"]), VALUES | PATHS, max_size=5)


@settings(deadline=None)
@given(
    st.dictionaries(NAMES, VALUES, max_size=4),
    st.dictionaries(st.sampled_from(PERMISSIONS), st.lists(TEXTS.filter(bool), max_size=3)),
    st.lists(OPERATIONS, max_size=6) | st.lists(ANYTHING | OPERATIONS, max_size=3) | VALUES,
)
def test_any_patch_of_any_document_gives_a_document_or_a_400(data, acl, body):
    document = as_document(data, acl, PERMISSIONS)
    before = copy.deepcopy(document)

    try:
        result = apply_operations(document, check_operations(body), PERMISSIONS)
    except InvalidParameters:
        result = document

    assert type(result["data"]) is dict
    assert list(result["permissions"]) == list(PERMISSIONS)
    assert all(who == {each: each for each in who if each} for who in result["permissions"].values())
    jsontext.check(result)
    assert document == before


@pytest.mark.parametrize(
    ("provided", "old", "new", "shown"),
    [
        pytest.param({"a": 2}, {"a": 1, "b": 1}, {"a": 2, "b": 1}, {"a": 2}, id="changed"),
        pytest.param({"a": 1}, {"a": 1}, {"a": 1}, {}, id="provided, not changed"),
        pytest.param({"a": 1.0}, {"a": 1}, {"a": 1.0}, {}, id="the same number"),
        pytest.param({"a": True}, {"a": 1}, {"a": True}, {"a": True}, id="true is not 1"),
        pytest.param({"a": None}, {}, {"a": None}, {"a": None}, id="a new field with null"),
        pytest.param({"a": 2}, {"a": 1}, {"a": 2, "last_modified": 5}, {"a": 2}, id="changed, not provided"),
        pytest.param({"a": None}, {"a": 1}, {}, {}, id="removed"),
        pytest.param(
            {"last_modified": 3}, {"last_modified": 4}, {"last_modified": 5}, {"last_modified": 5}, id="ignored"
        ),
    ],
)
def test_light_shows_what_was_provided_and_changed(provided, old, new, shown):
    assert light(provided, old, new) == shown


@pytest.mark.parametrize(
    ("provided", "new", "shown"),
    [
        pytest.param({"a": 1}, {"a": 1, "b": 2}, {}, id="as provided"),
        pytest.param({"a": 1.0}, {"a": 1}, {}, id="the same number"),
        pytest.param({"a": 1}, {"a": True}, {"a": True}, id="true is not 1"),
        pytest.param({"a": {"x": 1}}, {"a": {"x": 1, "y": 2}}, {"a": {"x": 1, "y": 2}}, id="merged"),
        pytest.param({"last_modified": 3}, {"last_modified": 5}, {"last_modified": 5}, id="ignored"),
        pytest.param({"a": None}, {}, {}, id="removed"),
    ],
)
def test_diff_shows_what_is_not_as_provided(provided, new, shown):
    assert diff(provided, new) == shown
