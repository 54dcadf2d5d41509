"""Kobako stores JSON, synchronises it and shares it: the toolkit's public names (docs/toolkit.md).

What a server of one's own is made of: an `App` gets `Settings` and descriptions of its kinds of objects, each a
`Resource`, and what else it does as a `Plugin`. The stock server's own (`kobako.resources`) are written with these
names only.
"""

from kobako.app import App
from kobako.cache.base import Cache
from kobako.databases.base import (
    BackendUnavailable,
    Clock,
    Database,
    TryAgain,
    UnfitDatabase,
    Unit,
    attempts,
    every_list,
)
from kobako.http.authentication import basic_credentials, bearer_token
from kobako.http.checks import require
from kobako.http.merging import merge
from kobako.http.responses import json_response
from kobako.http.routing import Step, rerouted
from kobako.http.site import Authenticator, Call, Identity, Passing, Run, RunStreamed, Site
from kobako.http.streaming import Streamed
from kobako.model import objects
from kobako.model.access import Caller, Rights, readable
from kobako.model.events import Change, ObjectsChanged, ObjectsRead, ServerFlushed
from kobako.model.listeners import Listener
from kobako.model.objects import declare_indexes
from kobako.model.resource import Patch, Prepare, React, Resource, Restrict, Sift, Target, Validate
from kobako.model.transaction import Backends, Transaction
from kobako.monitoring import install_middlewares
from kobako.permission.base import AUTHENTICATED, EVERYONE, Acl, Permission
from kobako.plugin import Plugin, View
from kobako.policies import logins
from kobako.policies.tokens import Tokens, Verified
from kobako.protocol import indexes, versions
from kobako.protocol.errors import (
    ApiError,
    BadRequest,
    Forbidden,
    InvalidParameters,
    MethodNotAllowed,
    MissingToken,
    NotUnique,
    Problem,
    RequestTooLarge,
    ServiceUnavailable,
    UnknownObject,
    UnknownUrl,
    invalid,
)
from kobako.protocol.ids import NAME, RELAXED_UUID, UUID4, IdGenerator
from kobako.protocol.jsontext import InvalidJson, JsonObject, decode, encode
from kobako.protocol.messages import Request, Response
from kobako.protocol.principals import length_problem
from kobako.protocol.query import ListQuery
from kobako.protocol.selection import Filter, Operator, Selection, Sort
from kobako.protocol.weburls import host_of, origin_of
from kobako.remote import NoAnswer, Remote, Reply
from kobako.settings import (
    Policy,
    Settings,
    SettingsError,
    policy_options,
    read_option,
    read_options,
    read_settings,
)
from kobako.storage.base import (
    INDEXED_FIELDS,
    PURGED_AT_ONCE,
    TOMBSTONE,
    DuplicateTimestamp,
    ListState,
    Place,
    Storage,
    Stored,
    Total,
    declared_indexes,
)
from kobako.storage.selecting import select

__all__ = [
    "AUTHENTICATED",
    "EVERYONE",
    "INDEXED_FIELDS",
    "NAME",
    "PURGED_AT_ONCE",
    "RELAXED_UUID",
    "TOMBSTONE",
    "UUID4",
    "Acl",
    "ApiError",
    "App",
    "Authenticator",
    "BackendUnavailable",
    "Backends",
    "BadRequest",
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
    "ListQuery",
    "ListState",
    "Listener",
    "MethodNotAllowed",
    "MissingToken",
    "NoAnswer",
    "NotUnique",
    "ObjectsChanged",
    "ObjectsRead",
    "Operator",
    "Passing",
    "Patch",
    "Permission",
    "Place",
    "Plugin",
    "Policy",
    "Prepare",
    "Problem",
    "React",
    "Remote",
    "Reply",
    "Request",
    "RequestTooLarge",
    "Resource",
    "Response",
    "Restrict",
    "Rights",
    "Run",
    "RunStreamed",
    "Selection",
    "ServerFlushed",
    "ServiceUnavailable",
    "Settings",
    "SettingsError",
    "Sift",
    "Site",
    "Sort",
    "Step",
    "Storage",
    "Stored",
    "Streamed",
    "Target",
    "Tokens",
    "Total",
    "Transaction",
    "TryAgain",
    "UnfitDatabase",
    "Unit",
    "UnknownObject",
    "UnknownUrl",
    "Validate",
    "Verified",
    "View",
    "attempts",
    "basic_credentials",
    "bearer_token",
    "declare_indexes",
    "declared_indexes",
    "decode",
    "encode",
    "every_list",
    "host_of",
    "indexes",
    "install_middlewares",
    "invalid",
    "json_response",
    "length_problem",
    "logins",
    "merge",
    "objects",
    "origin_of",
    "policy_options",
    "read_option",
    "read_options",
    "read_settings",
    "readable",
    "require",
    "rerouted",
    "select",
    "versions",
]
