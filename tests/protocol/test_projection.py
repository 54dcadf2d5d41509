"""`_fields`: HTTP API 9.10."""

import pytest

from kobako.protocol.jsontext import MAX_DEPTH
from kobako.protocol.projection import prepare, project

DATA = {
    "id": "r1",
    "last_modified": 12,
    "title": "Matsutake",
    "person": {"name": "Ann", "age": 3, "home": {"city": "Kyoto", "zip": 1}},
    "tags": [{"name": "x"}],
    "a.b": 1,
}
MANAGED = {"id": "r1", "last_modified": 12}


@pytest.mark.parametrize(
    ("fields", "selected"),
    [
        pytest.param(("title",), {"title": "Matsutake"}, id="a field"),
        pytest.param((), {}, id="none"),
        pytest.param(("id",), {}, id="the id, once"),
        pytest.param(("unknown", "title.x.y"), {"title": "Matsutake"}, id="unknown names, and no object on the way"),
        pytest.param(("person.name",), {"person": {"name": "Ann"}}, id="in a sub-object"),
        pytest.param(("person.name", "person.age"), {"person": {"name": "Ann", "age": 3}}, id="several, merged"),
        pytest.param(
            ("person.home.city", "person.age"), {"person": {"age": 3, "home": {"city": "Kyoto"}}}, id="levels"
        ),
        pytest.param(("person", "person.name"), {"person": DATA["person"]}, id="the whole and a part"),
        pytest.param(("person.name", "person"), {"person": DATA["person"]}, id="a part and the whole"),
        pytest.param(("person.name.first",), {"person": {"name": "Ann"}}, id="a value on the way is whole"),
        pytest.param(("person.unknown",), {"person": {}}, id="nothing of a sub-object"),
        pytest.param(("tags.name",), {"tags": [{"name": "x"}]}, id="an array is whole"),
        pytest.param(("a.b",), {}, id="a key with a dot is not reached"),
        pytest.param(("", "."), {}, id="empty names"),
    ],
)
def test_an_answer_has_the_fields_named_and_id_and_timestamp(fields, selected):
    assert project(DATA, fields) == MANAGED | selected


def test_a_tombstone_shows_that_it_is_deleted_only_when_asked():
    tombstone = {"id": "r1", "last_modified": 12, "deleted": True}

    assert project(tombstone, ("title",)) == MANAGED
    assert project(tombstone, ("deleted",)) == tombstone


def test_the_object_stays_as_it_was():
    data = {"id": "r1", "last_modified": 12, "a": {"b": 1, "c": 2}}

    project(data, ("a.b",))

    assert data == {"id": "r1", "last_modified": 12, "a": {"b": 1, "c": 2}}


def test_the_deepest_object_can_be_projected():
    deep = {"end": 1}
    for _ in range(MAX_DEPTH - 1):
        deep = {"a": deep}

    assert project(deep, ("a." * (MAX_DEPTH - 1) + "end", "a." * 10_000)) == deep


def test_fields_are_read_once_for_many_objects():
    """Thousands of names, read again for each object of a page, kept everybody else waiting."""
    selected = prepare(iter(["title", "person.name"]))

    assert selected(DATA) == selected(DATA) == MANAGED | {"title": "Matsutake", "person": {"name": "Ann"}}
