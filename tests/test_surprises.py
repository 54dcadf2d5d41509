"""What was foreseen in vain is foreseen again more and more seldom; a worker knows so many of such questions."""

import pytest

from kobako.http import surprises
from kobako.http.surprises import Surprises


def test_a_question_is_foreseen_again_after_longer_and_longer_pauses() -> None:
    known = Surprises()
    goes = list[bool]()
    for _ in range(60):
        is_foreseen = not known.expected("question")
        goes.append(is_foreseen)
        if is_foreseen:
            known.note("question")
        assert not known.expected("another")

    assert [number for number, is_foreseen in enumerate(goes) if is_foreseen] == [0, 2, 6, 14, 30, 46]


def test_so_many_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surprises, "MOST", 3)
    known = Surprises()
    for number in range(10):
        known.note(number)
        known.note(number)
        assert known.expected(number)
        assert len(known._pauses) <= 3
        assert len(known._left) <= 3
