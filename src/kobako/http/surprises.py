"""What was not foreseen of late: to foresee it again costs a journey to the database, likely in vain.

Source: design, "The walk of a request".
"""

from collections.abc import Hashable
from typing import Final

LONGEST_PAUSE: Final = 15
"""How often a question is asked, at most, before it is foreseen again."""

MOST: Final = 1_000
"""Questions of which a worker knows that they are surprising."""


class Surprises:
    """How often questions will not be foreseen: twice as often after each time that it was in vain."""

    def __init__(self) -> None:
        self._pauses: dict[Hashable, int] = {}
        self._left: dict[Hashable, int] = {}

    def expected(self, question: Hashable) -> bool:
        """Tell whether a question is likely to be one more."""
        left = self._left.get(question, 0)
        if left:
            self._left[question] = left - 1
        return left > 0

    def note(self, question: Hashable) -> None:
        """Note that a question was foreseen in vain."""
        if len(self._pauses) >= MOST and question not in self._pauses:
            self._pauses.clear()
            self._left.clear()
        pause = min(2 * self._pauses.get(question, 0) + 1, LONGEST_PAUSE)
        self._pauses[question] = self._left[question] = pause
