"""Timestamps that writes get (HTTP API, 7.3; reliability, S3 to S18)."""

import pytest

from kobako.protocol.versions import assign, following


@pytest.mark.parametrize(
    ("current", "now", "expected"), [(1000, 2000, 2000), (1000, 1001, 1001), (1000, 1000, 1001), (1000, 10, 1001)]
)
def test_the_next_version_is_the_time_or_just_above_the_list(current: int, now: int, expected: int) -> None:
    """S5, S12."""
    assert following(current, now) == expected


@pytest.mark.parametrize(
    ("wanted", "known", "of_object", "of_list"),
    [
        pytest.param(None, True, 2000, 2000, id="none"),
        pytest.param(None, False, 2000, 2000, id="none, new"),
        pytest.param(1001, True, 1001, 1001, id="above the list, behind the clock"),
        pytest.param(5000, False, 5000, 5000, id="above the clock"),
        pytest.param(1000, True, 2000, 2000, id="S18 that of the list"),
        pytest.param(1000, False, 2000, 2000, id="S18 that of the list, new"),
        pytest.param(999, True, 2000, 2000, id="S16 past, known"),
        pytest.param(999, False, 999, 1000, id="S17 past, new"),
        pytest.param(0, False, 0, 1000, id="S17 zero, new"),
    ],
)
def test_a_version_is_the_clients_own_where_nobody_misses_it(
    wanted: int | None, known: bool, of_object: int, of_list: int
) -> None:
    assert assign(1000, 2000, wanted, known=known) == (of_object, of_list)


@pytest.mark.parametrize("wanted", [None, 0, 999, 1000, 1001, 3000])
@pytest.mark.parametrize("now", [1, 1000, 2000])
@pytest.mark.parametrize("known", [True, False])
def test_a_list_never_goes_back_nor_stands_below_its_objects(wanted: int | None, now: int, known: bool) -> None:
    of_object, of_list = assign(1000, now, wanted, known=known)

    assert of_list >= 1000
    assert of_list >= of_object
    assert not known or of_object > 1000
