"""Kobako stores JSON, synchronises it and shares it: the toolkit's public names.

What a server of one's own is made of: an `App` gets `Settings` and descriptions of its kinds of objects, each a
`Resource`. The stock server's own (`kobako.resources`) are written with these names only.
"""

from kobako.app import App
from kobako.model.events import Change, ObjectsChanged, ObjectsRead
from kobako.model.listeners import Listener
from kobako.model.objects import declare_indexes
from kobako.model.resource import Prepare, Resource, Target
from kobako.model.transaction import Transaction
from kobako.monitoring import install_middlewares
from kobako.permission.base import AUTHENTICATED, EVERYONE
from kobako.protocol.errors import ApiError, InvalidParameters, Problem, invalid
from kobako.protocol.ids import NAME, RELAXED_UUID, UUID4, IdGenerator
from kobako.protocol.jsontext import JsonObject, encode
from kobako.protocol.principals import length_problem
from kobako.settings import Settings, SettingsError, read_settings
from kobako.storage.base import INDEXED_FIELDS, Stored, declared_indexes

__all__ = [
    "AUTHENTICATED",
    "EVERYONE",
    "INDEXED_FIELDS",
    "NAME",
    "RELAXED_UUID",
    "UUID4",
    "ApiError",
    "App",
    "Change",
    "IdGenerator",
    "InvalidParameters",
    "JsonObject",
    "Listener",
    "ObjectsChanged",
    "ObjectsRead",
    "Prepare",
    "Problem",
    "Resource",
    "Settings",
    "SettingsError",
    "Stored",
    "Target",
    "Transaction",
    "declare_indexes",
    "declared_indexes",
    "encode",
    "install_middlewares",
    "invalid",
    "length_problem",
    "read_settings",
]
