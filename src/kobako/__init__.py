"""Kobako stores JSON, synchronises it and shares it: the toolkit's public names (docs/toolkit.md).

What a server of one's own is made of: an `App` gets `Settings` and descriptions of its kinds of objects, each a
`Resource`, and what else it does as a `Plugin`. The stock server's own (`kobako.resources`) are written with these
names only.
"""

from kobako.app import App
from kobako.cache.base import Cache
from kobako.databases.base import BackendUnavailable, Clock, Database, TryAgain, UnfitDatabase, Unit
from kobako.http.authentication import basic_credentials, bearer_token
from kobako.http.checks import require
from kobako.http.responses import json_response
from kobako.http.routing import Step, rerouted
from kobako.http.site import Authenticator, Call, Identity, Run, Site
from kobako.model import objects
from kobako.model.access import Caller
from kobako.model.events import Change, ObjectsChanged, ObjectsRead, ServerFlushed
from kobako.model.listeners import Listener
from kobako.model.objects import declare_indexes
from kobako.model.resource import Patch, Prepare, React, Resource, Restrict, Target, Validate
from kobako.model.transaction import Backends, Transaction
from kobako.monitoring import install_middlewares
from kobako.permission.base import AUTHENTICATED, EVERYONE, Permission
from kobako.plugin import Plugin, View
from kobako.protocol.errors import (
    ApiError,
    Forbidden,
    InvalidParameters,
    MethodNotAllowed,
    MissingToken,
    NotUnique,
    Problem,
    ServiceUnavailable,
    UnknownObject,
    invalid,
)
from kobako.protocol.ids import NAME, RELAXED_UUID, UUID4, IdGenerator
from kobako.protocol.jsontext import InvalidJson, JsonObject, decode, encode
from kobako.protocol.messages import Request, Response
from kobako.protocol.principals import length_problem
from kobako.protocol.selection import Filter, Operator, Selection, Sort
from kobako.settings import Policy, Settings, SettingsError, read_options, read_settings
from kobako.storage.base import (
    INDEXED_FIELDS,
    DuplicateTimestamp,
    ListState,
    Place,
    Storage,
    Stored,
    Total,
    declared_indexes,
)

__all__ = [
    "AUTHENTICATED",
    "EVERYONE",
    "INDEXED_FIELDS",
    "NAME",
    "RELAXED_UUID",
    "UUID4",
    "ApiError",
    "App",
    "Authenticator",
    "BackendUnavailable",
    "Backends",
    "Cache",
    "Call",
    "Caller",
    "Change",
    "Clock",
    "Database",
    "DuplicateTimestamp",
    "Filter",
    "Forbidden",
    "IdGenerator",
    "Identity",
    "InvalidJson",
    "InvalidParameters",
    "JsonObject",
    "ListState",
    "Listener",
    "MethodNotAllowed",
    "MissingToken",
    "NotUnique",
    "ObjectsChanged",
    "ObjectsRead",
    "Operator",
    "Patch",
    "Permission",
    "Place",
    "Plugin",
    "Policy",
    "Prepare",
    "Problem",
    "React",
    "Request",
    "Resource",
    "Response",
    "Restrict",
    "Run",
    "Selection",
    "ServerFlushed",
    "ServiceUnavailable",
    "Settings",
    "SettingsError",
    "Site",
    "Sort",
    "Step",
    "Storage",
    "Stored",
    "Target",
    "Total",
    "Transaction",
    "TryAgain",
    "UnfitDatabase",
    "Unit",
    "UnknownObject",
    "Validate",
    "View",
    "basic_credentials",
    "bearer_token",
    "declare_indexes",
    "declared_indexes",
    "decode",
    "encode",
    "install_middlewares",
    "invalid",
    "json_response",
    "length_problem",
    "objects",
    "read_options",
    "read_settings",
    "require",
    "rerouted",
]
