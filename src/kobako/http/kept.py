"""What a worker has worked out, told again as long as nothing was committed to it: who sends, and the answers.

What is asked often between two changes, by one client or by many (a poll, a page, an object), is worked out once. A
database that is near tells, exactly and for less than any question costs, whether anything was committed by whomever
(`NearDatabase.version`), and of some commits that they do not concern a list (`version_of`): it is asked before the
answer is worked out. A far one tells with what it answers (`Transaction.version`). Both are asked before an answer is
given again, a far one by a journey (`ask_version`): so nobody gets what was not true after they had asked. Who asks is
found out each time, unless the database is near and all that are asked about it say that the Authorization header
tells, for a while (`Authenticator.lasts_s`).

Source: design, "The walk of a request"; reliability, S1 and P6.
"""

import math
from collections.abc import Hashable
from itertools import chain
from typing import Any, Final, Generic, NamedTuple, TypeVar

import msgspec

from kobako.protocol.messages import Response

T = TypeVar("T")

LARGEST_BYTES: Final = 2**17
"""A longer body is not kept: to send it costs more than to find it."""

AROUND_BYTES: Final = 2_000
"""What an answer takes besides its body: question, headers."""

LONGEST_PAUSE: Final = 15
"""How many answers are worked out, at most, before a far database is asked again whether there is still no news."""

MOST_ABOUT: Final = 1_000
"""Of so many objects it is known how often there is news of the lists below them."""

MOST_SENDERS: Final = 1_000
"""Whose credentials a worker knows, by digests of them."""


class Senders(Generic[T]):
    """Who was recognized by which Authorization header, at one version of the database, and for so many seconds; where
    that is for ever, at any version.
    """

    def __init__(self, last_s: float = 0) -> None:
        self.last_s = last_s
        self.are_constant = last_s == math.inf
        self._version: Hashable = None
        self._known: dict[bytes, tuple[T, float]] = {}

    def find(self, version: Hashable, sent: bytes, now: float) -> T | None:
        """Return who was recognized by a header, of which this is the digest; `now` is in milliseconds."""
        if (version != self._version and not self.are_constant) or len(self._known) > MOST_SENDERS:
            self._known.clear()
            self._version = version
        known = self._known.get(sent)
        return known[0] if known and now < known[1] else None

    def keep(self, version: Hashable, sent: bytes, now: float, found: T) -> None:
        """Keep who was recognized, unless the database has another version by now."""
        if version == self._version or self.are_constant:
            self._known[sent] = found, now + self.last_s * 1000


class Question(NamedTuple):
    """What is asked, and by whom: `told` are the headers that matter."""

    sender: Hashable
    method: str
    path: str
    query: str
    origin: str
    told: tuple[tuple[str, str], ...]

    @property
    def size(self) -> int:
        """About how many bytes it takes."""
        return AROUND_BYTES + len(self.path) + len(self.query) + sum(map(len, chain(*self.told)))


class News:
    """What was heard last of the versions of some lists, and for how many answers there is likely more of it."""

    __slots__ = ("latest", "left", "pause")

    def __init__(self) -> None:
        self.latest: Hashable = None
        self.pause = self.left = 0

    def hear(self, version: Hashable) -> None:
        """Note the version that they have: with each that is new, twice as many more are expected."""
        if version != self.latest:
            self.latest = version
            self.pause = self.left = min(2 * self.pause + 1, LONGEST_PAUSE)


class Kept:
    """Answers, each with the version of the database in which it is true, of at most so many bytes.

    They are known by questions, or by digests of whole requests. Those that were kept first are forgotten first.
    `about` says which lists an answer is about, by what they belong to: it is they that have versions.
    """

    def __init__(self, most_bytes: int = 0) -> None:
        self.most_bytes = most_bytes
        self._news: dict[Hashable, News] = {}
        self._answers: dict[Hashable, tuple[Hashable, Any, int]] = {}
        self._bytes = 0

    def is_worth_a_look(self, question: Hashable, about: Hashable = None) -> bool:
        """Tell whether to ask a far database for its version: there is an answer of the latest that was heard of, and
        not news all the time.
        """
        news = self._news.get(about)
        return news is not None and self._is_of(question, news.latest) and not news.left

    def is_worth_it_by_now(self, question: Hashable, about: Hashable = None) -> bool:
        """Tell the same, and count those that were worked out for want of it."""
        news = self._news.get(about)
        if news is None or not self._is_of(question, news.latest):
            return False
        if news.left:
            news.left -= 1
            return False
        return True

    def _is_of(self, question: Hashable, version: Hashable) -> bool:
        known = self._answers.get(question)
        return known is not None and known[0] == version

    def find(self, version: Hashable, question: Hashable, about: Hashable = None) -> Any:
        """Return what was kept; None if it is not known."""
        known = self._answers.get(question)
        news = self._news_of(about)
        news.hear(version)
        if known is None or known[0] != version:
            return None
        news.pause = news.left = 0
        return known[1]

    def _news_of(self, about: Hashable) -> News:
        news = self._news.get(about)
        if news is None:
            if len(self._news) >= MOST_ABOUT:
                self._news.clear()
            news = self._news[about] = News()
        return news

    def peek(self, question: Hashable) -> Any:
        """Return what was kept, of whatever version; None for nothing."""
        known = self._answers.get(question)
        return known[1] if known else None

    def keep(self, version: Hashable, question: Question, answer: Response, about: Hashable = None) -> bool:
        """Keep an answer that is true in a version of the database; tell whether it may be."""
        # Others are told anew each time until when they may keep it.
        if len(answer.body) > LARGEST_BYTES or answer.stream or "Expires" in answer.headers:
            return False
        self._news_of(about).latest = version
        self._put(question, version, copied(answer), len(answer.body) + question.size)
        return True

    def keep_repeat(self, version: Hashable, digest: bytes, repeat: Any, size: int) -> None:
        """Keep how a request was answered (`http/repeats.py`), which takes so many bytes."""
        self._put(digest, version, repeat, size)

    def _put(self, key: Hashable, version: Hashable, what: Any, size: int) -> None:
        if former := self._answers.pop(key, None):
            self._bytes -= former[2]
        while self._answers and self._bytes + size > self.most_bytes:
            self._bytes -= self._answers.pop(next(iter(self._answers)))[2]
        if size <= self.most_bytes:
            self._bytes += size
            self._answers[key] = version, what, size


def copied(answer: Response) -> Response:
    """Return an answer whose headers are the caller's to change."""
    return msgspec.structs.replace(answer, headers=dict(answer.headers))
