"""The id of the request that is being served: for the log alone, whose entries come from anywhere.

Source: HTTP API, section 15.2.
"""

from contextvars import ContextVar

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""Empty outside of requests, and where nobody reads the log and the client sent none."""
