"""The API reference has all public names; `make docs` builds it, and fails where one has no docstring to find."""

from collections import Counter
from inspect import isclass, isfunction
from pathlib import Path

import pytest

import kobako
from docs import conf

PAGE = Path(conf.__file__).with_name("api.md").read_text()
LISTED = Counter(" ".join(conf.NAMES.findall(PAGE)).split())


def may_have_one(name: str) -> bool:
    value = getattr(kobako, name)
    return isclass(value) or isfunction(value)


def test_every_public_name_is_on_the_page_once() -> None:
    assert Counter(kobako.__all__) == LISTED


@pytest.mark.parametrize("name", [name for name in kobako.__all__ if may_have_one(name)])
def test_what_is_public_has_a_docstring(name: str) -> None:
    assert getattr(kobako, name).__doc__, name
