"""The default bucket: `/buckets/default` stands for a bucket that each user has, made when it is first asked for.

Requests to it, and to all below it, are done as if they had been sent to the real one, whose id follows from the
user's: also those to URLs that other plugins have there. What a request implies, the bucket and the collection that
it names, is created with it, and seen by listeners as any creation is.

Source: objects, 10.
"""

import hmac
import logging
import uuid
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from kobako import (
    Call,
    InvalidJson,
    MethodNotAllowed,
    MissingToken,
    Plugin,
    Request,
    Settings,
    Site,
    Step,
    Target,
    decode,
    encode,
    invalid,
    read_options,
    rerouted,
)

ALIAS: Final = "default"
URI: Final = f"/buckets/{ALIAS}"

CAPABILITY: Final = {
    "description": "The default bucket is an alias for a personal bucket where collections are created implicitly.",
    "url": "https://kinto.readthedocs.io/en/latest/api/1.x/buckets.html#personal-bucket-default",
}

_log = logging.getLogger("kobako.default_bucket")


class Options(msgspec.Struct, frozen=True):
    """The settings: `default_bucket_hmac_secret`."""

    hmac_secret: str = ""


def plugin(settings: Settings) -> Plugin:
    """Return the plugin."""
    secret = read_options(settings, "default_bucket", Options, separator="_").hmac_secret
    if not secret:
        _log.warning(
            "Setting 'default_bucket_hmac_secret' is empty: the id of anybody's default bucket can be guessed."
        )

    async def arrive(site: Site, step: Step) -> Step:
        """Have what is asked of the default bucket done to that of its sender."""
        if URI not in step.request.path or not step.uri.startswith(URI):
            return step
        path = step.uri[len(URI) :]
        if path and not path.startswith("/"):
            return step
        return _sent_on(site, step, path, secret)

    async def about_user(call: Call) -> Mapping[str, Any]:
        """Return the id of the user's bucket."""
        return {"bucket": bucket_id(secret, str(call.caller.user))}

    return Plugin(
        name="default_bucket",
        arrive=arrive,
        arrives_alike=True,
        about_user=about_user,
        capabilities={"default_bucket": CAPABILITY},
    )


def bucket_id(secret: str, user: str) -> str:
    """Return the id of the bucket that a user, by the prefixed id, has.

    >>> bucket_id("bucket_id_salt", "input data")
    '70f09c2d-0785-3887-d6b7-2bc70517f963'
    """
    return str(uuid.UUID(hmac.digest(secret.encode(), user.encode(), "sha256").hex()[:32]))


def _sent_on(site: Site, step: Step, path: str, secret: str) -> Step:
    """Return the step to a path in the sender's bucket. Raises MissingToken, MethodNotAllowed, InvalidParameters."""
    if step.sender.identity is None:
        raise MissingToken
    if site.settings.readonly:
        raise MethodNotAllowed(headers={"Allow": "OPTIONS"})
    bucket = bucket_id(secret, step.sender.identity.user)
    body = step.request.body if path else _naming(bucket, step.request)
    found = rerouted(site, step, f"/buckets/{bucket}{path}", body)
    return msgspec.structs.replace(found, implies=_implied(site, found, bucket, path))


def _naming(bucket: str, request: Request) -> bytes:
    """Return a body in which the bucket has its real id."""
    if ALIAS.encode() not in request.body:
        return request.body
    try:
        body = decode(request.body)
    except InvalidJson:
        # It is told where its turn comes.
        return request.body
    data = body.get("data") if isinstance(body, dict) else None
    if not isinstance(data, dict) or data.get("id") != ALIAS:
        return request.body
    return encode({**body, "data": {**data, "id": bucket}}).encode()


def _implied(site: Site, step: Step, bucket: str, path: str) -> tuple[Target, ...]:
    """Return the bucket, and the collection that a path begins with, as far as the app has such objects."""
    uris = [f"/buckets/{bucket}"]
    segments = path.split("/")
    if segments[1:2] == ["collections"] and len(segments) > 2:
        uris.append(f"{uris[0]}/collections/{segments[2]}")
    found = tuple(target for uri in uris if (target := site.backends.resources.target(uri)))
    for each in found[1:]:
        is_created = step.request.method == "PUT" and each.uri == step.uri
        if not is_created and not each.resource.ids.accepts(each.id):
            raise invalid("path", None, "Invalid collection id")
    return found
