"""Kobako stores JSON, synchronises it and shares it: the toolkit's public names.

What a server of one's own is made of: an `App` gets `Settings` and descriptions of its kinds of objects, each a
`Resource`. The stock server's own (`kobako.resources`) are written with these names only.
"""

from kobako.app import App
from kobako.http.authentication import basic_credentials, bearer_token
from kobako.http.site import Authenticator, Identity
from kobako.model.events import Change, ObjectsChanged, ObjectsRead
from kobako.model.listeners import Listener
from kobako.model.resource import Prepare, Resource, Target
from kobako.model.transaction import Transaction
from kobako.monitoring import install_middlewares
from kobako.permission.base import AUTHENTICATED, EVERYONE
from kobako.protocol.errors import ApiError, InvalidParameters, Problem, ServiceUnavailable, invalid
from kobako.protocol.ids import NAME, RELAXED_UUID, UUID4, IdGenerator
from kobako.protocol.jsontext import JsonObject, encode
from kobako.protocol.messages import Request
from kobako.protocol.principals import length_problem
from kobako.settings import Settings, SettingsError, read_settings
from kobako.storage.base import Stored

__all__ = [
    "AUTHENTICATED",
    "EVERYONE",
    "NAME",
    "RELAXED_UUID",
    "UUID4",
    "ApiError",
    "App",
    "Authenticator",
    "Change",
    "IdGenerator",
    "Identity",
    "InvalidParameters",
    "JsonObject",
    "Listener",
    "ObjectsChanged",
    "ObjectsRead",
    "Prepare",
    "Problem",
    "Request",
    "Resource",
    "ServiceUnavailable",
    "Settings",
    "SettingsError",
    "Stored",
    "Target",
    "Transaction",
    "basic_credentials",
    "bearer_token",
    "encode",
    "install_middlewares",
    "invalid",
    "length_problem",
    "read_settings",
]
