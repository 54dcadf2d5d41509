"""Backends by the names the settings have for them. Source: HTTP API, sections 16.6 and 16.15."""

import sys
from dataclasses import replace

import pytest
from tests.conftest import SETTINGS

from kobako.backends import open_cache
from kobako.settings import SettingsError

DRIVERS = {"postgresql": "asyncpg", "redis": "redis", "memcached": "emcache"}


@pytest.mark.parametrize(("kind", "driver"), DRIVERS.items())
def test_a_driver_that_is_missing_is_named_with_its_extra(
    kind: str, driver: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in list(sys.modules):
        if name.partition(".")[0] == driver or name == f"kobako.cache.{kind}":
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, driver, None)

    with pytest.raises(SettingsError, match=rf"'cache_backend' is '{kind}': .*kobako\[{kind}\]"):
        open_cache(replace(SETTINGS, cache_backend=kind, cache_url=f"{kind}://localhost"), lambda: 0)
