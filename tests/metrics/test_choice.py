"""Which metrics a file or an environment switches on, and what is refused. Source: HTTP API, 16.12; objects, 16.2."""

import math
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.conftest import SETTINGS

from kobako.app import App
from kobako.metrics.prometheus import Prometheus
from kobako.metrics.statsd import StatsD
from kobako.resources import RESOURCES
from kobako.settings import Settings, SettingsError, read_settings

Read = Callable[[str], Settings]
MEMORY = "kinto.storage_backend = memory\nkinto.userid_hmac_secret = abc\n"


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def read(lines: str) -> Settings:
        ini = tmp_path / "kobako.ini"
        ini.write_text(f"[app:main]\n{lines}\n")
        return read_settings(ini, {})

    return read


@pytest.mark.parametrize(
    ("lines", "kind"),
    [
        ("", None),
        ("kinto.includes =", None),
        ("kinto.statsd_url =", None),
        ("cliquet.statsd_url = None", None),
        ("kinto.includes = kinto.plugins.prometheus", Prometheus),
        ("kobako.includes = kobako.plugins.prometheus", Prometheus),
        ("kobako.includes = prometheus", Prometheus),
        ("kinto.includes = kinto.plugins.statsd\nkinto.statsd_url = udp://127.0.0.1:8125", StatsD),
        ("kobako.includes = kobako.plugins.statsd\nkobako.statsd_url = udp://127.0.0.1", StatsD),
        ("includes = statsd\nstatsd_url = udp://127.0.0.1:8125/", StatsD),
        ("cliquet.statsd_url = udp://127.0.0.1:8125", StatsD),
        ("kinto.statsd_url = udp://localhost:8125\nkinto.statsd_backend = kinto.core.statsd", StatsD),
        ("cliquet.statsd_url = udp://[::1]:8125\ncliquet.statsd_backend = cliquet.statsd", StatsD),
    ],
)
def test_metrics_are_switched_on_by_the_name_of_a_plugin_or_an_address(
    read: Read, lines: str, kind: type[object] | None
) -> None:
    settings = read(MEMORY + lines)

    assert settings.warnings == ()
    assert type(App(settings, RESOURCES).site.metrics) is (kind or type(None))


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            "kinto.includes = kinto.plugins.other",
            r"'kinto\.includes' is 'kinto\.plugins\.other': of 'kinto\.plugins\.oth",
        ),
        ("kinto.statsd_url = http://host:1", r"'kinto\.statsd_url' is 'http://host:1': must be udp://host:port\.$"),
        ("kinto.statsd_url = udp://host:99999", r"must be udp://host:port\.$"),
        ("kinto.statsd_url = udp://host:port", r"must be udp://host:port\.$"),
        (
            "kinto.statsd_backend = mine.statsd",
            r"'mine\.statsd': no such statsd backend is offered; there is statsd\.$",
        ),
        (
            "kinto.prometheus_histogram_buckets = 1 0.5",
            r"'1 0\.5': must be numbers, each greater than the one before\.$",
        ),
        ("kinto.prometheus_histogram_buckets = 1 nan", r"must be numbers, each greater than the one before\.$"),
        ("kinto.prometheus_histogram_buckets =", r"must be numbers, each greater than the one before\.$"),
        ("kinto.prometheus_histogram_buckets = 1, 2", r"must be numbers between spaces\.$"),
        ("kinto.sentry_events_min_level = WARNING", r"'WARNING': must be a whole number\.$"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name_and_value(read: Read, lines: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        read(lines)


def test_metrics_go_to_one_of_both() -> None:
    with pytest.raises(
        SettingsError, match=r"^Setting 'includes' has prometheus and statsd: metrics go to one of them"
    ):
        App(replace(SETTINGS, includes=("prometheus", "statsd")), RESOURCES)


@pytest.mark.parametrize(
    ("extra", "library", "settings"),
    [
        ("prometheus", "prometheus_client", {"includes": ("prometheus",)}),
        ("statsd", "statsd", {"statsd_url": "udp://127.0.0.1:8125"}),
    ],
)
def test_a_library_that_is_missing_is_named_by_its_extra(
    monkeypatch: pytest.MonkeyPatch, extra: str, library: str, settings: dict[str, object]
) -> None:
    monkeypatch.delitem(sys.modules, f"kobako.metrics.{extra}", raising=False)
    monkeypatch.setitem(sys.modules, library, None)

    with pytest.raises(
        SettingsError, match=rf"^Metrics need a library that is missing: pip install 'kobako\[{extra}\]'"
    ):
        App(replace(SETTINGS, **settings), RESOURCES)


def test_every_setting_has_the_default_of_the_specification() -> None:
    settings = Settings()

    assert (settings.statsd_url, settings.statsd_prefix) == (None, "kinto.core")
    assert settings.metrics_matchdict_fields == ("bucket_id", "collection_id", "group_id", "record_id")
    assert (settings.prometheus_prefix, settings.prometheus_disabled_metrics) == (None, ())
    assert settings.prometheus_histogram_buckets == (0.01, 0.05, 0.1, 0.5, 1.0, 3.0, 6.0, math.inf)
    assert settings.prometheus_created_metrics_enabled is True
    assert (settings.newrelic_config, settings.newrelic_env) == (None, "dev")
    assert (settings.sentry_dsn, settings.sentry_env) == (None, None)
    assert (settings.sentry_breadcrumbs_min_level, settings.sentry_events_min_level) == (10, 30)
    assert (settings.profiler_enabled, settings.profiler_dir) == (False, None)


def test_a_prefix_that_is_empty_is_another_than_none(read: Read) -> None:
    assert read("kinto.prometheus_prefix =").prometheus_prefix == ""
    assert read("kinto.prometheus_prefix = null").prometheus_prefix is None


def test_the_example_of_the_page_makes_an_application() -> None:
    page = (Path(__file__).parents[2] / "docs/monitoring.md").read_text()
    names: dict[str, object] = {}

    exec(page.partition("```python\n")[2].partition("```")[0], names)

    assert isinstance(names["application"], App)
