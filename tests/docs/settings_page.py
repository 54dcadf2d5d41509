"""docs/settings.md, made of the table of settings: `python -m tests.docs.settings_page` writes it.

The comments that stand alone in the table are the headings of the page.

Source: HTTP API, section 16.
"""

import inspect
import re
from collections.abc import Mapping, Set
from datetime import datetime
from pathlib import Path
from typing import Any, Final, get_args, get_type_hints

from kobako.protocol.addresses import Range
from kobako.settings import EventListener, Policy, Settings, names
from kobako.settings.fields import Row, family_docs, rows
from kobako.settings.template import shown

PAGE: Final = Path(__file__).parents[2] / "docs" / "settings.md"

TYPES: Final[Mapping[Any, str]] = {
    str: "text",
    bool: "true or false",
    int: "whole number",
    float: "number",
    datetime: "date",
    tuple[str, ...]: "list",
    tuple[float, ...]: "list of numbers",
    tuple[Range, ...]: "list of addresses",
    tuple[Policy, ...]: "list of names",
    tuple[EventListener, ...]: "list of names",
}

DESCRIBED: Final = frozenset({"multiauth.policy.", "event_listeners."})
"""Beginnings of names that stand in for no plugin, but for what a list of names above says more of."""

TEXT: Final = """\
# Settings

Made of [settings/fields.py](../src/kobako/settings/fields.py) by `python -m tests.docs.settings_page`: change that
table, not this page.

A setting stands in the section `[app:main]` of the configuration, as `kobako.paginate_by = 100`. Files of Kinto's have
`kinto.` or no prefix instead, older ones `cliquet.`: the first of these three that is there counts. The names that
begin with `multiauth.` or `cornice.` are usually written without prefix. A variable of the environment wins over the
file: the name in capitals, dots and hyphens as underscores, with or without prefix (`KOBAKO_PAGINATE_BY`,
`MULTIAUTH_POLICIES`).

A switch is true for `true`, `t`, `yes`, `y`, `on` and `1` in any case of letters, else false. The words of a list stand
between spaces or line breaks, principals also between commas. `null` means that nothing is set. `kobako init` writes a
configuration with all of these settings as comments. An unknown one under `kobako.` stops the start; under any other
prefix it is a warning.

{sections}
## Settings by type

They exist for each type of object: bucket, collection, group, record, and those of plugins.

{families}

## Steps of the start

Kinto and Cliquet list the functions that set up their server in `initialization_sequence`. A file that has such a list,
with `kinto.core.`, `cliquet.` or `kobako.` in front of `initialization.` and the name of a step, leaves out what is not
in it, and a warning at the start names that:

| Without | there is |
|---|---|
| `restrict_http_methods_if_readonly` | no refusal of writing on any URL; with `readonly`, objects are still only read |
| `setup_csp_headers` | no `Content-Security-Policy` |
| `setup_logging` | no entry for each request in the log |
| `setup_storage` | no object, nor endpoint for one: as with an empty `storage_backend` |
| `setup_permission` | no permission: the same without a storage, with one the server does not start |
| `setup_cache` | no cache: as with an empty `cache_backend` |
| `setup_requests_scheme` | neither `http_scheme` nor `http_host` |
| `setup_version_redirection` | no redirection to the prefix of the version |
| `setup_trailing_slash_redirection` | no redirection of slashes at the end (in Cliquet's lists; others need no step) |
| `setup_deprecation` | no end of service |
| `setup_authentication` | nobody who is recognized |
| `setup_backoff` | no `Backoff` |
| `setup_sentry` | no report to Sentry |
| `setup_listeners` | no listener of `event_listeners` |
| `setup_metrics` (`setup_statsd` for Cliquet) | no metrics |
| `kinto.core.events.setup_transaction_hook` | nobody told of events after the commit |

`setup_request_bound_data`, `setup_json_serializer` and `setup_vary_headers` turn nothing on or off. The order of steps
means nothing, but for those of one's own: any other dotted name that leads to a function. It is called in each process
before the first request, with the settings, and whatever it raises stops the start:

```python
from kobako import Settings


def setup(settings: Settings) -> None:
    print(f"{{settings.project_name}} starts")
```

## Read for the sake of other files

`use` and `settings_prefix` are read as Kinto reads them.

Without effect here, and accepted without a word: {without_effect}; and whatever begins with {foreign}.
"""


def sections() -> dict[str, list[Row]]:
    """Return the settings under the headings of the table, in its order."""
    by_attribute = {row.attribute: row for row in rows()}
    found: dict[str, list[Row]] = {}
    heading = ""
    for line in inspect.getsource(Settings).splitlines():
        if comment := re.fullmatch(r" {4}# (.+)", line):
            heading = comment[1]
        elif (field := re.match(r" {4}(\w+): .* = setting\(", line)) and field[1] in by_attribute:
            found.setdefault(heading, []).append(by_attribute[field[1]])
    return found


def render() -> str:
    """Return the text of the page."""
    return TEXT.format(
        sections="\n".join(_section(heading, settings) for heading, settings in sections().items()),
        families="\n".join(f"- {doc}" for doc in family_docs()),
        without_effect=_listed(names.WITHOUT_EFFECT),
        foreign=_listed(set(names.FOREIGN) - DESCRIBED),
    )


def _section(heading: str, settings: list[Row]) -> str:
    head = f"## {heading}\n\n| Setting | Type | Default | |\n|---|---|---|---|\n"
    return head + "".join(_line(row) for row in settings)


def _line(row: Row) -> str:
    return f"| `{row.name}` | {_type(row)} | {_default(row)} | {row.doc.replace('|', '&#124;')} |\n"


def _default(row: Row) -> str:
    # The page is not to change with each release.
    return "that of Kobako" if row.attribute == "project_version" else _code(shown(row.default))


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def _type(row: Row) -> str:
    declared = get_type_hints(Settings)[row.attribute]
    alternatives = [each for each in get_args(declared) if each is not type(None)]
    return TYPES[declared] if declared in TYPES else f"{TYPES[alternatives[0]]}, or empty"


def _listed(found: Set[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(found))


if __name__ == "__main__":
    PAGE.write_text(render())
