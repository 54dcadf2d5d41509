"""Resource: the description of one kind of object, and Target: what a request points at.

A resource is a value that App receives; everything the server does with its objects is read from it. Its objects
live in lists, one for each object of its `parent` (or one in all, without a parent). An object's URI is the URL
without the version prefix: that of its parent, the name of the list, the id.

Of an `owned` kind each user has a list of their own, at one URL: what belongs to others is as if it were not there.

Source: objects, 1 and 27.4.
"""

from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import msgspec

from kobako.protocol.ids import UUID4, IdGenerator
from kobako.protocol.jsontext import JsonObject
from kobako.protocol.selection import Filter
from kobako.storage.base import Place, Stored

if TYPE_CHECKING:
    from kobako.model.access import Caller, Rights
    from kobako.model.events import Change
    from kobako.model.transaction import Transaction

Validate = Callable[[JsonObject, str], JsonObject]
"""(data, path) -> the data that is stored. Raises InvalidParameters, its names beginning with the path."""

Prepare = Callable[["Transaction", "Target", JsonObject, Stored | None], Awaitable[JsonObject]]
"""(tx, target, data, old) -> the data that is stored, for what other objects have a say in: it may read them.

Called with the result of a patch, and with the stored data where only permissions change. Raises ApiError to refuse.
"""

React = Callable[["Transaction", "Target", "Change"], Awaitable[None]]
"""Called with each change of an object, at once and in its transaction."""

Patch = Callable[["Target", JsonObject, JsonObject], JsonObject]
"""(target, data before, data after the patch) -> the data that is validated then. Raises ApiError to refuse."""

Restrict = Callable[["Transaction", "Target", "Caller"], Awaitable[Sequence[Filter]]]
"""(tx, the list, who asks) -> conditions of what is listed, counted, or deleted as a list, besides those asked for."""

MakeRights = Callable[..., "Rights"]
"""(caller, target, held, by_settings) -> what the caller may do there, by rules of the kind's own: see `Rights`."""

Sift = Callable[["Transaction", "Target", "Caller", Sequence[Stored]], Awaitable[Sequence[Stored]]]
"""(tx, the list, who asks, objects of it) -> those of them that they are shown, in their order.

Asked in place of the ACLs of the objects, for those with whom some are shared and for whom the whole list is not open.
"""

LIST_METHODS = ("HEAD", "GET", "POST", "DELETE")
OBJECT_METHODS = ("GET", "HEAD", "PUT", "PATCH", "DELETE")


def as_given(data: JsonObject, path: str) -> JsonObject:
    """Return the data: any is valid."""
    return data


class Resource(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of object.

    `path` is the template of its lists' URLs: `/buckets/{bucket_id}/collections`. `permissions` are the names its
    objects' ACLs may have; one that ends in `:create` lets create objects of that kind below. Objects of an `owned`
    kind have no ACL, no parent and nothing below.
    """

    name: str
    path: str
    parent: "Resource | None" = None
    permissions: tuple[str, ...] = ("read", "write")
    creators: tuple[str, ...] = ()
    """Principals that may create objects anywhere, where the settings (`<name>_create_principals`) say nothing."""
    owned: bool = False
    """Whether each user sees their own objects, and nobody else's. Nobody in particular has none."""
    unique: tuple[str, ...] = ()
    """Fields of which no two objects of a list have the same value, but for null."""
    ids: IdGenerator = UUID4
    needs_data: bool = False
    """Whether `PUT` and `POST` have to bring data: what they leave out is refused by `validate`, and never kept."""
    schema: type[msgspec.Struct] | JsonObject | None = None
    """What the data has to be: a Struct, whose defaults are stored and which has all its fields, or a JSON Schema.

    App makes `validate` and `data_schema` of it, unless they are given.
    """
    validate: Validate = as_given
    data_schema: JsonObject = {}
    """The fields, as a JSON Schema: for the readers of `/__api__`. What holds is what `validate` says."""
    known_fields: tuple[str, ...] | None = None
    """The fields that objects may have, besides the server's: those of a closed schema, if not given; None: any.

    Filters, orders and `_fields` name no others.
    """
    readonly_fields: tuple[str, ...] = ()
    """Fields that stay as they are once they have a value; a PUT may leave them out."""
    patch: Patch | None = None
    prepare: Prepare | None = None
    react: React | None = None
    restrict: Restrict | None = None
    sift: Sift | None = None
    rights: MakeRights | None = None
    # Without methods there is no such endpoint.
    list_methods: tuple[str, ...] = LIST_METHODS
    object_methods: tuple[str, ...] = OBJECT_METHODS
    """Without any, objects have no URL: they are seen in their list only."""
    tells_missing_parent: bool = False
    """Whether a write below an unknown parent is a 404 for everybody, before it is asked who may do it."""
    expires_with_parent: bool = False
    """Whether anonymous readers may keep the objects as long as the parent's `cache_expires` says, in seconds."""

    def __post_init__(self) -> None:
        if self.owned and self.parent:
            raise ValueError(f"resource {self.name!r} is owned by users: it has no parent")
        if self.parent and self.parent.owned:
            raise ValueError(
                f"resource {self.name!r} has a parent that is owned by users, below which there is nothing"
            )

    @property
    def text_fields(self) -> Collection[str]:
        """The fields that are known to be strings: what a query compares them with is text."""
        if self.known_fields is None:
            return ()
        return {name for name, each in self.data_schema.get("properties", {}).items() if each.get("type") == "string"}

    def target(self, list_uri: str, id: str | None = None) -> "Target":
        """Return the target with this list URI: `/buckets/b/collections`."""
        return Target(self, Place(self.name, list_uri.rpartition("/")[0]), list_uri, id)


class Target(msgspec.Struct, frozen=True):
    """What a request points at: a list, or one object of it when there is an id."""

    resource: Resource
    place: Place
    list_uri: str
    id: str | None = None

    @property
    def uri(self) -> str:
        """The URI of the object."""
        return f"{self.list_uri}/{self.id}"

    @property
    def variables(self) -> dict[str, str]:
        """The ids in the URL, by name: those of the resource's path, and `<type>_id` of the object, if there is one.

        >>> Resource(name="record", path="/shelves/{shelf_id}/records").target("/shelves/s/records", "r").variables
        {'shelf_id': 's', 'record_id': 'r'}
        """
        names, values = self.resource.path.split("/"), self.list_uri.split("/")
        found = {name[1:-1]: value for name, value in zip(names, values, strict=True) if name.startswith("{")}
        return found | ({f"{self.resource.name}_id": self.id} if self.id else {})

    def at(self, id: str) -> "Target":
        """Return the target of an object of the same list."""
        return Target(self.resource, self.place, self.list_uri, id)

    def of(self, user: str) -> "Target":
        """Return the target in the list that belongs to a user, of an owned kind."""
        return Target(self.resource, Place(self.resource.name, user), self.list_uri, self.id)

    def parent(self) -> "Target | None":
        """Return the target of the object that the list belongs to, None at the root."""
        if self.resource.parent is None:
            return None
        list_uri, _, id = self.place.parent.rpartition("/")
        return self.resource.parent.target(list_uri, id)


class Resources:
    """The resources of one app: by name, and by parent."""

    def __init__(self, resources: Iterable[Resource]):
        self._by_name = {resource.name: resource for resource in resources}

    def __iter__(self) -> Iterator[Resource]:
        return iter(self._by_name.values())

    def __contains__(self, name: str) -> bool:
        return name in self._by_name

    def __getitem__(self, name: str) -> Resource:
        return self._by_name[name]

    def children(self, resource: Resource) -> Sequence[Resource]:
        """Return the resources whose lists belong to objects of this one."""
        return [each for each in self._by_name.values() if each.parent and each.parent.name == resource.name]

    def target(self, uri: str) -> Target | None:
        """Return the target of an object's URI, None for what is no object of these resources.

        >>> resources = Resources([Resource(name="record", path="/shelves/{shelf_id}/records")])
        >>> found = resources.target("/shelves/s/records/r")
        >>> found.list_uri, found.id
        ('/shelves/s/records', 'r')
        """
        list_uri, _, id = uri.rpartition("/")
        segments = list_uri.split("/")
        found = next((each for each in self._by_name.values() if _fits(each.path.split("/"), segments)), None)
        return found.target(list_uri, id) if found and id else None


def _fits(template: Sequence[str], segments: Sequence[str]) -> bool:
    return len(template) == len(segments) and all(
        name == value or (name.startswith("{") and value != "") for name, value in zip(template, segments, strict=True)
    )
