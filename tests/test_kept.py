"""What a worker keeps of a far database: whether it is worth to ask for its version is learned from what came of it."""

import pytest

from kobako.http.kept import LONGEST_PAUSE, Kept, Question
from kobako.protocol.messages import Response

QUESTION = Question("somebody", "GET", "/v1/buckets", "", "http://localhost", ())
OTHER = QUESTION._replace(path="/v1/buckets/b")


def asks_until_a_look(kept: Kept) -> int:
    """How many are answered without asking for the version."""
    return next(n for n in range(100) if kept.is_worth_it_by_now(QUESTION))


def test_only_for_what_has_an_answer_the_database_is_asked() -> None:
    kept = Kept(10_000)
    assert not kept.is_worth_a_look(QUESTION)
    kept.keep(1, QUESTION, Response(body=b"one"))
    assert kept.is_worth_a_look(QUESTION)
    assert not kept.is_worth_a_look(OTHER)


def test_an_answer_is_given_at_its_version_and_no_other() -> None:
    kept = Kept(10_000)
    kept.keep(1, QUESTION, Response(body=b"one"))
    found = kept.find(1, QUESTION)
    assert found
    assert found.body == b"one"
    assert kept.find(2, QUESTION) is None
    kept.keep(2, QUESTION, Response(body=b"two"))
    assert kept.find(1, QUESTION) is None


def test_answers_of_one_version_are_kept_and_of_the_last_that_was_heard_of() -> None:
    kept = Kept(10_000)
    kept.keep(1, QUESTION, Response(body=b"one"))
    kept.keep(2, OTHER, Response(body=b"two"))
    assert not kept.is_worth_a_look(QUESTION)
    assert kept.find(2, OTHER)


def test_where_nobody_can_tell_the_version_nothing_is_kept_any_more() -> None:
    kept = Kept(10_000)
    kept.keep(1, QUESTION, Response(body=b"one"))
    assert kept.find(None, QUESTION) is None
    assert not kept.is_worth_a_look(QUESTION)


def test_the_more_often_there_is_news_the_less_often_the_database_is_asked() -> None:
    kept, waits = Kept(10_000), list[int]()
    for version in range(8):
        kept.keep(version, QUESTION, Response(body=b"one"))
        waits.append(asks_until_a_look(kept))
        assert kept.find(version + 0.5, QUESTION) is None
    assert waits == [0, 1, 3, 7, 15, 15, 15, 15]
    assert max(waits) == LONGEST_PAUSE
    kept.keep(9, QUESTION, Response(body=b"one"))
    asks_until_a_look(kept)
    assert kept.find(9, QUESTION)
    assert asks_until_a_look(kept) == 0


def test_news_of_some_lists_is_none_of_others() -> None:
    kept = Kept(10_000)
    kept.keep(1, QUESTION, Response(body=b"one"), about="/buckets/b")
    for version in range(10):
        kept.keep(version, OTHER, Response(body=b"two"), about="/buckets/c")
        assert kept.find(version + 0.5, OTHER, "/buckets/c") is None
    assert not kept.is_worth_a_look(OTHER, "/buckets/c")
    assert kept.is_worth_a_look(QUESTION, "/buckets/b")
    assert kept.is_worth_it_by_now(QUESTION, "/buckets/b")
    assert kept.find(1, QUESTION, "/buckets/b")


def test_of_so_many_lists_it_is_known_whether_there_is_news(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kobako.http.kept.MOST_ABOUT", 3)
    kept = Kept(10_000)
    for number in range(10):
        kept.keep(1, QUESTION, Response(body=b"one"), about=number)
        assert kept.is_worth_a_look(QUESTION, number)
        assert len(kept._news) <= 3


def test_what_was_kept_first_is_forgotten_first() -> None:
    kept = Kept(3 * 2_100)
    for path in "abcb":
        kept.keep(1, QUESTION._replace(path=path), Response(body=b"x" * 10))
    kept.keep(1, QUESTION._replace(path="d"), Response())
    found = [path for path in "abcd" if kept.find(1, QUESTION._replace(path=path))]
    assert found == ["b", "c", "d"]
    kept.keep(1, OTHER, Response(body=b"x" * 5_000))
    assert not kept.find(1, OTHER) or kept._bytes <= kept.most_bytes
    kept.keep(1, QUESTION, Response(body=b"x" * 7_000))
    assert kept.find(1, QUESTION) is None
