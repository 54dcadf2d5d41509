"""Doing a piece of work again when others were in its way: C15."""

import pytest

from kobako.databases.base import PAUSES_S, BackendUnavailable, TryAgain, attempts


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kobako.databases.base.PAUSES_S", (0.0,) * len(PAUSES_S))


async def goes_until_done(*failures: type[Exception] | None) -> int:
    """Return how many attempts were made of a work that fails so, one after the other."""
    goes = 0
    for attempt in attempts():
        async with attempt:
            goes += 1
            if failure := failures[goes - 1]:
                raise failure
    return goes


@pytest.mark.parametrize("failures", range(len(PAUSES_S) + 1))
async def test_c15_work_is_done_again_up_to_three_times(failures: int) -> None:
    assert await goes_until_done(*[TryAgain] * failures, None) == failures + 1


async def test_c15_the_last_failure_goes_through() -> None:
    with pytest.raises(TryAgain):
        await goes_until_done(*[TryAgain] * 4, None)


@pytest.mark.parametrize("error", [BackendUnavailable, ValueError])
async def test_other_errors_go_through_at_once(error: type[Exception]) -> None:
    with pytest.raises(error):
        await goes_until_done(error, None)


async def test_work_that_is_refused_later_goes_through() -> None:
    with pytest.raises(ValueError):
        await goes_until_done(TryAgain, ValueError, None)
