"""Requests that come again, byte for byte: answered as before without being read, as long as that is true.

What a request asks, of what and by whom, follows from what was sent. So of one that was answered it is enough to know
that it is the same (`wire.py` tells, by a digest: neither what was sent nor credentials are kept), that its
Authorization header still says who sends it (of a far database that cannot be told: there it has to be so for ever),
and that nothing was committed that concerns the list it is about. Where anything else has a say (`is_enough`), nothing
is kept here.

Source: design, "The walk of a request"; reliability, S1 and P6.
"""

from collections.abc import Hashable
from typing import NamedTuple

from kobako.http import log
from kobako.http.asking import OF_ONE_REQUEST
from kobako.http.authentication import digest_of
from kobako.http.kept import AROUND_BYTES
from kobako.http.routing import Step
from kobako.http.site import Recognized, Site
from kobako.model.resource import Target
from kobako.protocol.messages import Request, Response
from kobako.settings import Settings


class Repeat(NamedTuple):
    """A request that may come again: who sent it and what it is about, its log entry, and its answer, as it is sent."""

    sender: Recognized
    sent: bytes
    target: Target
    entry: log.Alike
    status: int
    head: bytes
    body: bytes


class Grounds:
    """What the answer to a request rests on, noted on the way: it is true as long as its list has this version."""

    __slots__ = ("digest", "step", "version")

    def __init__(self, digest: bytes) -> None:
        self.digest = digest
        self.step: Step | None = None
        self.version: Hashable = None

    def note(self, step: Step, version: Hashable) -> None:
        """Note that the answer to a step is true in a version."""
        self.step, self.version = step, version


def is_enough(settings: Settings, *, are_alike: bool) -> bool:
    """Tell whether what is sent alike is answered alike, as long as nothing changes: `are_alike` says so of plugins."""
    return are_alike and settings.backoff is None and settings.eos is None


def find(site: Site, digest: bytes) -> Repeat | None:
    """Return what a request was, and how it was answered, if that is still true: of a database that is near.

    Raises BackendUnavailable.
    """
    repeat: Repeat | None = site.kept.peek(digest)
    if repeat is None:
        return None
    of_all = site.backends.version()
    about = site.backends.concern(repeat.target)
    if site.kept.find(site.backends.version_of(repeat.target), digest, about) is None:
        return None
    sender = site.senders.find(of_all, repeat.sent, site.backends.clock())
    return repeat if sender == repeat.sender else None


def supposed(site: Site, digest: bytes) -> Repeat | None:
    """Return the same of a far database, if it is worth a journey to ask for its version (`is_true`)."""
    repeat: Repeat | None = site.kept.peek(digest)
    if repeat and site.kept.is_worth_a_look(digest, site.backends.concern(repeat.target)):
        return repeat
    return None


def is_true(site: Site, digest: bytes, repeat: Repeat, version: Hashable) -> bool:
    """Tell whether that is how a request is answered in a version."""
    return site.kept.find(version, digest, site.backends.concern(repeat.target)) is repeat


def keep(site: Site, grounds: Grounds, request: Request, response: Response, head: bytes, body: bytes) -> None:
    """Keep how a request was answered, if it is known on what grounds."""
    step, headers = grounds.step, request.headers
    if step is None or not OF_ONE_REQUEST.isdisjoint(headers):
        return
    user = step.sender.identity.user if step.sender.identity else None
    repeat = Repeat(
        sender=step.sender,
        sent=digest_of(headers.get("authorization", "")),
        target=step.target,
        entry=log.Alike(request, response, user),
        status=response.status,
        head=head,
        body=body,
    )
    # The body is that of the answer, which is kept already; the entry has fields, and a line.
    size = AROUND_BYTES + len(head) + 2 * (len(request.path) + len(request.query) + len(headers.get("user-agent", "")))
    site.kept.keep_repeat(grounds.version, grounds.digest, repeat, size)
