"""The options of a webhook: what is refused at the start, and how that is said."""

import sys

import pytest
from tests.api.sharing import serving
from tests.listeners.hooks import webhook

from kobako.settings import EventListener, SettingsError


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"url": None}, r"'event_listeners\.hook\.url' is '': must be https://host"),
        ({"url": "ftp://x"}, r"'event_listeners\.hook\.url' is 'ftp://x': must be https://host"),
        ({"url": "https://me:sesame@x"}, r"is 'https://\*\*\*@x': must be https://host"),
        ({"url": "http://x", "allow_private": "no"}, r"is 'http://x': must begin with https://"),
        ({"secret": None}, r"'event_listeners\.hook\.secret' is '': must be whsec_ and 24 to 64 bytes"),
        ({"secret": "sesame"}, r"'event_listeners\.hook\.secret' is '\*\*\*': must be whsec_"),
        ({"secret": "whsec_c2VzYW1l"}, r"'event_listeners\.hook\.secret' is '\*\*\*': must be whsec_"),
        ({"max_attempts": "0"}, r"'event_listeners\.hook\.max_attempts' is '0': must be a whole number, 1 or more\."),
        ({"retries": "3"}, r"Unknown setting 'event_listeners\.hook\.retries': 'webhook' has the options url, secret"),
    ],
)
async def test_options_that_cannot_be_stop_the_start(changed: dict[str, str | None], message: str) -> None:
    good = webhook("https://example.com/hook").options
    options = {name: value for name, value in (good | changed).items() if value is not None}
    with pytest.raises(SettingsError, match=message):
        async with serving(event_listeners=(EventListener("hook", "webhook", options=options),)):
            pass


async def test_a_webhook_is_told_of_changes_only() -> None:
    given = EventListener("hook", "webhook", ("create", "read"), (), webhook("https://example.com/").options)
    with pytest.raises(SettingsError, match="a webhook is told of create, update and delete only"):
        async with serving(event_listeners=(given,)):
            pass


async def test_a_library_that_is_missing_is_named_by_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [each for each in sys.modules if each.startswith("kobako.listeners.webhook")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "httpx", None)

    with pytest.raises(SettingsError, match=r"it needs a library, which comes with `pip install 'kobako\[webhook\]'`"):
        async with serving(event_listeners=(webhook("https://example.com/"),)):
            pass
