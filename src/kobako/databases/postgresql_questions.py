"""The statement that answers what is foreseen on PostgreSQL, whatever of it there is: each row says what it is about.

Source: design, "The walk of a request".
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from kobako.databases.base import Foreseen, Sought
from kobako.databases.postgresql_version import Question, and_above, and_version
from kobako.databases.shards import shard
from kobako.permission.base import AUTHENTICATED
from kobako.protocol.selection import EVERYTHING
from kobako.storage import sql
from kobako.storage.base import Place
from kobako.storage.postgresql_columns import PLANNED

NOWHERE: Final = Place("", "")

OF_A_LIST: Final = 5
"""Parameters of the statement for a list: a bucket, principals, and the list."""

MOST_ACES: Final = 50
"""A longer ACL is not read before somebody wants to see it."""

_ACES: Final = f"""
    SELECT 'ace', s.uri, permission, principal, NULL, NULL
    FROM unnest({{}}::text[], {{}}::text[]) AS s (bucket, uri), LATERAL (
        SELECT permission, principal FROM aces AS a WHERE a.bucket = s.bucket AND a.uri = s.uri
        LIMIT {MOST_ACES + 1}) AS first"""

# $1: the names that groups have as members; $2: principals; $3, $4: buckets and URIs of ACLs; $5 to $7: a list; $8 to
# $11: buckets, parents, kinds and ids of objects; $12, $13: buckets and URIs of their ACLs, which differ for a bucket.
_STATEMENT: Final = f"""
    SELECT 'group', principal, NULL, NULL, NULL, NULL FROM members WHERE member = ANY($1::text[])
    UNION ALL
    SELECT 'grant', uri, permission, principal, NULL, NULL
    FROM unnest($3::text[], $4::text[]) AS u (bucket, uri) JOIN aces USING (bucket, uri)
    WHERE principal = ANY($2::text[] || ARRAY(SELECT m.principal FROM members AS m WHERE member = ANY($1::text[])))
    UNION ALL
    SELECT 'list', last_modified::text, open::int::text, array_to_json(indexes)::text, purged_before::text, NULL
    FROM lists WHERE bucket = $5 AND parent = $6 AND resource = $7
    UNION ALL
    SELECT 'object', parent, resource, id, last_modified::text, data
    FROM unnest($8::text[], $9::text[], $10::text[], $11::text[]) AS s (bucket, parent, resource, id)
    JOIN objects USING (bucket, parent, resource, id) WHERE NOT deleted
    UNION ALL
    {_ACES.format("$12", "$13")}"""

# The same for one list, or one object of it, whose ACLs are all in one bucket: without what it takes to join arrays it
# costs half. $1: that bucket; $2: principals; $3 to $5: the list.
_GROUPS: Final = "SELECT 'group', principal, NULL, NULL, NULL, NULL FROM members WHERE member IN ({user})"

_GRANTS: Final = """
    SELECT 'grant', uri, permission, principal, NULL, NULL FROM aces
    WHERE bucket = $1 AND uri IN ({uris}) AND principal = ANY({principals})"""

_OF_GROUPS: Final = "$2::text[] || ARRAY(SELECT m.principal FROM members AS m WHERE member IN ({user}))"

_LIST: Final = """
    SELECT 'list', last_modified::text, open::int::text, array_to_json(indexes)::text, purged_before::text, xmin::text
    FROM lists WHERE bucket = $3 AND parent = $4 AND resource = $5"""

_ABOUT: Final = f"""
    SELECT 'object', parent, resource, id, last_modified::text, data FROM objects
    WHERE bucket = {{}} AND parent = {{}} AND resource = {{}} AND id = {{}} AND NOT deleted
    UNION ALL
    SELECT * FROM (
        SELECT 'ace', uri, permission, principal, NULL, NULL FROM aces WHERE bucket = {{}} AND uri = {{}}
        LIMIT {MOST_ACES + 1}) AS first"""

_OBJECT: Final = _ABOUT.format("$3", "$4", "$5", "$6", "$1", "$7")

# Where the rest is known: an object, or several, with their ACLs.
_OBJECT_ALONE: Final = _ABOUT.format("$1", "$2", "$3", "$4", "$5", "$6")
_OBJECTS_ALONE: Final = f"""
    SELECT 'object', parent, resource, id, last_modified::text, data FROM objects
    WHERE bucket = $1 AND parent = $2 AND resource = $3 AND id = ANY($4::text[]) AND NOT deleted
    UNION ALL
    {_ACES.format("$5", "$6")}"""

# A page for who is granted nothing would be read in vain; it is told so without one.
_PAGE: Final = """
    SELECT 'page', p.id, p.last_modified::text, p.data, p.deleted::text, NULL FROM ({page}) AS p
    WHERE EXISTS (SELECT FROM granted)"""


@lru_cache(64)
def statement_of_one(
    uris: int,
    *,
    is_object: bool,
    has_user: bool,
    has_page: bool = False,
    has_list: bool = False,
) -> str:
    """Return the statement for a list, or an object, and so many ACLs: each has a parameter of its own.

    With a page of the list: {page} stands for its statement.

    Of an array PostgreSQL thinks that it is long, so it would plan anew each time, which takes five times as long as to
    run the plan. How the list is, is asked where there is no object, or it is to be written (`has_list`): who reads an
    object has no use for it.
    """
    first = 8 if is_object else 6
    user = f"${first}, ${first + 1}"
    first += 2 * has_user
    names = ", ".join(f"${number}" for number in range(first, first + uris))
    grants = _GRANTS.format(uris=names, principals=_OF_GROUPS.format(user=user) if has_user else "$2::text[]")
    groups = [_GROUPS.format(user=user)] if has_user else []
    if not has_page:
        about = [_OBJECT] if is_object else []
        parts = [*groups, grants, *about, *([_LIST] if has_list or not is_object else [])]
        return " UNION ALL ".join(parts)
    parts = [*groups, "SELECT * FROM granted", _LIST, _PAGE]
    return f"WITH granted (kind, a, b, c, d, e) AS MATERIALIZED ({grants}) {' UNION ALL '.join(parts)}"


def page_of(asked: Foreseen, place: Place, indexes: Sequence[str]) -> sql.Statement:
    """Return the part for the page that is foreseen, of a list that declares these indexes."""
    before = OF_A_LIST + (2 if asked.user else 0) + len(asked.uris)
    return sql.page(PLANNED, place.parent, place.resource, asked.selection or EVERYTHING, indexes, before)


def of_one(
    asked: Foreseen, shard_of_acls: str, page: sql.Statement | None, *, has_list: bool, has_above: bool = False
) -> Question:
    """Return the question about one list, or one object: the ACLs are all in one shard."""
    place, sought = asked.place or NOWHERE, asked.objects[:1]
    statement = statement_of_one(
        len(asked.uris),
        is_object=bool(sought),
        has_user=asked.user is not None,
        has_page=page is not None,
        has_list=has_list,
    )
    values = (
        *(shard_of_acls, list(asked.principals)),
        *(shard(place.parent), place.parent, place.resource),
        *[part for each in sought for part in (each.id, each.uri)],
        *((asked.user, AUTHENTICATED) if asked.user else ()),
        *asked.uris,
        *(page[1] if page else ()),
    )
    if has_above:
        return and_above(statement, values, place.parent)
    return and_version(asked, statement.replace("{page}", page[0]) if page else statement, *values)


def of_user(asked: Foreseen) -> Question:
    """Return the question about nothing but who asks."""
    groups = _GROUPS.format(user="$1, $2") if asked.user else "SELECT 'nothing', NULL, NULL, NULL, NULL, NULL"
    return and_version(asked, groups, *((asked.user, AUTHENTICATED) if asked.user else ()))


def of_objects(sought: Sequence[Sought]) -> Question:
    """Return the question about objects of one list, and their ACLs, and nothing else."""
    place = sought[0].place
    of_list = shard(place.parent), place.parent, place.resource
    if len(sought) == 1:
        [(_, id, uri)] = sought
        return _OBJECT_ALONE, *of_list, id, shard(uri), uri
    uris = [each.uri for each in sought]
    return _OBJECTS_ALONE, *of_list, [each.id for each in sought], [shard(uri) for uri in uris], uris


def of_several(asked: Foreseen) -> Question:
    """Return the question about any number of objects."""
    place = asked.place or NOWHERE
    places = [each.place for each in asked.objects]
    return and_version(
        asked,
        _STATEMENT,
        [asked.user, AUTHENTICATED] if asked.user else [],
        list(asked.principals),
        *([shard(uri) for uri in asked.uris], list(asked.uris)),
        *(shard(place.parent), place.parent, place.resource),
        *([shard(each.parent) for each in places], [each.parent for each in places]),
        *([each.resource for each in places], [each.id for each in asked.objects]),
        *([shard(each.uri) for each in asked.objects], [each.uri for each in asked.objects]),
    )
