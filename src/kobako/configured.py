"""Resources as the settings change them, with their schemas put to work; and what the settings let do to them.

Source: HTTP API, 16.5 and 16.13; objects, 2.6 and 27.4.
"""

from collections.abc import Iterable, Mapping, Set
from itertools import chain
from typing import Any, Final, TypeVar

import msgspec

from kobako.http import permissions
from kobako.http.routing import SAFE
from kobako.model import schema
from kobako.model.inheritance import Action
from kobako.model.resource import Resource, as_given
from kobako.protocol import ids
from kobako.protocol.ids import IdGenerator
from kobako.protocol.jsontext import JsonObject
from kobako.settings import Settings, SettingsError, imports, unknown

ID_GENERATORS: Final = {"uuid4": ids.UUID4, "name": ids.NAME, "relaxed_uuid": ids.RELAXED_UUID}
ACTIONS: Final[tuple[Action, ...]] = ("read", "write", "create")

T = TypeVar("T")


def served(resources: Iterable[Resource], settings: Settings) -> list[Resource]:
    """Return the resources as the settings change them, each once: none without a storage, where there are no objects.

    Raises SettingsError for objects without permissions, or without the kind of object that they are in.
    """
    if not settings.storage_backend:
        return []
    if not settings.permission_backend:
        raise SettingsError("Setting 'permission_backend' is empty, or its step left out: objects need permissions.")
    found = once("resource", [{each.name: each} for each in resources])
    for each in found.values():
        if each.parent and each.parent.name not in found:
            raise SettingsError(f"The parent of resource '{each.name}' is '{each.parent.name}', which the app has not.")
    return [_configured(each, settings) for each in found.values()]


def warnings(settings: Settings, resources: Iterable[Resource]) -> list[str]:
    """Return what is strange about the settings, beside what they tell themselves, once all resources are known.

    Raises SettingsError for a setting under our own prefix about a kind of object that nothing brings.
    """
    return unknown(settings.undecided, [each.name for each in (*resources, permissions.PERMISSIONS)])


def _configured(resource: Resource, settings: Settings) -> Resource:
    """Return a resource as the settings change it, with its schema put to work."""
    generator = settings.id_generator(resource.name)
    if resource.schema is not None:
        resource = _with_schema(resource, resource.schema)
    return msgspec.structs.replace(
        resource,
        permissions=() if resource.owned else resource.permissions,
        ids=_ids(resource, generator),
        list_methods=tuple(
            each for each in resource.list_methods if _is_enabled(settings, "plural", resource.name, each)
        ),
        object_methods=tuple(
            each for each in resource.object_methods if _is_enabled(settings, "object", resource.name, each)
        ),
    )


def _ids(resource: Resource, generator: str | None) -> IdGenerator:
    """Return what makes the ids of a resource. Raises SettingsError for one that refuses what it makes."""
    found = (ID_GENERATORS.get(generator) or imports.load(generator)) if generator else resource.ids
    if not isinstance(found, IdGenerator):
        raise SettingsError(f"Setting '{resource.name}_id_generator' is '{generator}', which is no IdGenerator.")
    if found.generate and not found.accepts(made := found.generate()):
        raise SettingsError(f"The id generator of '{resource.name}' made {made!r}, which it does not accept itself.")
    return found


def _with_schema(resource: Resource, given: type[msgspec.Struct] | JsonObject) -> Resource:
    """Return a resource that validates by its schema; what it validates besides comes after."""
    by_schema, further = schema.validator(given), resource.validate
    validate = by_schema if further is as_given else lambda data, path: further(by_schema(data, path), path)
    fields = resource.known_fields
    return msgspec.structs.replace(
        resource,
        validate=validate,
        data_schema=resource.data_schema or schema.described(given),
        known_fields=schema.closed_fields(given) if fields is None else fields,
    )


def once(what: str, parts: Iterable[Mapping[str, T]]) -> dict[str, T]:
    """Return what several parts of the app bring. Raises SettingsError for a name that two of them have."""
    found: dict[str, T] = {}
    for name, value in chain.from_iterable(each.items() for each in parts):
        if name in found:
            raise SettingsError(f"There are two of one {what}: '{name}'.")
        found[name] = value
    return found


def _is_enabled(settings: Settings, endpoint: str, resource: str, method: str) -> bool:
    return settings.is_enabled(endpoint, resource, method) and (method in SAFE or not settings.readonly)


def _principals(settings: Settings, resource: Resource, action: Action) -> frozenset[str]:
    if action == "create" and f"{resource.name}_create" not in settings.principals_by_permission:
        return frozenset(resource.creators)
    return settings.principals(resource.name, action)


def settings_grants(settings: Settings, resources: Iterable[Resource]) -> Any:
    """Return the function that tells what the settings let some principals do to a kind of object."""
    table: Mapping[str, list[tuple[Action, frozenset[str]]]] = {
        each.name: [(action, allowed) for action in ACTIONS if (allowed := _principals(settings, each, action))]
        for each in (*resources, permissions.PERMISSIONS)
    }

    def granted(resource: str, principals: frozenset[str]) -> Set[Action]:
        return {action for action, allowed in table[resource] if not allowed.isdisjoint(principals)}

    return granted
