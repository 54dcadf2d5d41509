"""What clients are told when a request cannot be served: one class a row of the errno table.

An ApiError is raised where the rule is that was broken; `http/` turns it into a response, for a whole request
as for a part of a batch. A message names the value and the rule.

Source: HTTP API, sections 2.1 to 2.4.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

MAX_PROBLEMS: Final = 100
"""What is told of one thing that is wrong many times over: a body of a million faults makes no larger answer."""


class Problem(msgspec.Struct, frozen=True, omit_defaults=False):
    """One thing wrong with a request: where (`body`, `querystring`, `header`, `path`), which field, and why.

    The name is a position where an item of an array breaks a JSON schema (objects, 9.3).
    """

    location: str
    name: str | int | None
    description: str

    def sentence(self) -> str:
        """Return the text that a response's `message` has for this problem (section 2.3)."""
        if self.name is None:
            return f"{self.location}: {self.description}"
        if str(self.name) in self.description:
            return self.description
        return f"{self.name} in {self.location}: {self.description}"


class ApiError(Exception):
    """A request that is answered with an error: its status, errno, message and details."""

    status = 500
    errno = 999
    error = "Internal Server Error"
    message: str | None = None

    def __init__(self, message: str | None = None, *, details: Any = None, headers: dict[str, str] | None = None):
        self.message = message or self.message
        self.details = details
        self.headers = headers or {}
        super().__init__(self.message)

    def body(self) -> dict[str, Any]:
        """Return the JSON object a client gets: members without a value are left out."""
        body: dict[str, Any] = {"code": self.status, "errno": self.errno, "error": self.error}
        if self.message:
            body["message"] = self.message
        if self.details:
            body["details"] = self.details
        return body


class InvalidParameters(ApiError):
    """The request breaks rules of the API: each of them is in `details`."""

    status, errno, error = 400, 107, "Invalid parameters"

    def __init__(self, problems: Sequence[Problem]):
        self.problems = sorted(problems, key=lambda problem: str(problem.name))
        super().__init__(self.problems[0].sentence(), details=[msgspec.to_builtins(each) for each in self.problems])


def invalid(location: str, name: str | None, description: str) -> InvalidParameters:
    """Return the error for one problem."""
    return InvalidParameters([Problem(location, name, description)])


class NotAcceptable(InvalidParameters):
    """The client does not take JSON."""

    status = 406


class UnsupportedMediaType(InvalidParameters):
    """The body is not of a type that the endpoint reads."""

    status = 415


class KeyReused(InvalidParameters):
    """The Idempotency-Key came with another request before."""

    status = 422


class BadRequest(ApiError):
    """The request cannot be read at all: its URL is not UTF-8; or it is no part of a batch."""

    status, errno, error = 400, 107, "Bad Request"


class MissingToken(ApiError):
    """Nobody was recognized, and the endpoint is not for everyone (wrong credentials end here too)."""

    status, errno, error = 401, 104, "Unauthorized"
    message = "Please authenticate yourself to use this endpoint."


class Forbidden(ApiError):
    """The caller is known, and may not do that."""

    status, errno, error = 403, 121, "Forbidden"
    message = "This user cannot access this resource."


class UnknownObject(ApiError):
    """There is no such object in the list."""

    status, errno, error = 404, 110, "Not Found"

    def __init__(self, id: str, resource_name: str):
        super().__init__(details={"id": id, "resource_name": resource_name})


class UnknownParent(UnknownObject):
    """The list does not exist, since the object it belongs to does not."""

    errno = 111


class UnknownUrl(ApiError):
    """No endpoint has this URL."""

    status, errno, error = 404, 111, "Not Found"
    message = "The resource you are looking for could not be found."


class UnknownVersion(ApiError):
    """The URL begins with a version of the API that is not served."""

    status, errno, error = 404, 116, "Not Found"
    message = "The requested API version is not available on this server."


class MethodNotAllowed(ApiError):
    """The endpoint exists and does not have this method."""

    status, errno, error = 405, 115, "Method Not Allowed"
    message = "Method not allowed on this endpoint."


class Conflict(ApiError):
    """Two objects of a list would share a timestamp."""

    status, errno, error = 409, 122, "Conflict"
    message = "Integrity constraint violated, please retry."


class NotUnique(ApiError):
    """Another object of the list has the same value in a field that tells its objects apart."""

    status, errno, error = 409, 122, "Conflict"

    def __init__(self, field: str, existing: dict[str, Any]):
        super().__init__(
            f"Conflict of field {field} on object {existing['id']}", details={"field": field, "existing": existing}
        )


class ServiceDeprecated(ApiError):
    """The service has come to its announced end."""

    status, errno, error = 410, 202, "Gone"
    message = "The service you are trying to connect no longer exists at this location."


class ChangesForgotten(ApiError):
    """Deletions since the timestamp that a client knows were purged: it can be told of changes no longer."""

    status, errno, error = 410, 118, "Gone"

    def __init__(self, since: int, purged_before: int):
        super().__init__(
            f"What changed since {since} is not known any more: deletions up to {purged_before} were purged. "
            "Read the whole list anew.",
            details={"purged_before": purged_before},
        )


class ModifiedMeanwhile(ApiError):
    """The version the client knows is not the one stored."""

    status, errno, error = 412, 114, "Precondition Failed"
    message = "Resource was modified meanwhile"


class RequestTooLarge(ApiError):
    """The body is over the limit of the server."""

    status, errno, error = 413, 113, "Request Entity Too Large"


class UrlTooLong(ApiError):
    """The query string is over the limit of the server."""

    status, error = 414, "Request-URI Too Long"


class HeadersTooLarge(ApiError):
    """The headers are over the limit of the server, in number or in size."""

    status, error = 431, "Request Header Fields Too Large"


class ServerError(ApiError):
    """A defect of the server: the client is told nothing of it, the log everything."""

    status, errno, error = 500, 999, "Internal Server Error"
    message = "A programmatic error occurred, developers have been informed."


class ServiceUnavailable(ApiError):
    """A backend does not answer, or is too busy."""

    status, errno, error = 503, 201, "Service Unavailable"
    message = "Service temporary unavailable due to overloading or maintenance, please retry later."
