"""Names of files: what clients call them, and what they are stored under. Pure.

What a client sends is never a path. Random names need no more; others are made safe for any file system.

Source: objects, 17.6; reliability, A1 and A2.
"""

import itertools
import re
import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from mimetypes import MimeTypes
from typing import Final
from urllib.parse import quote

from kobako.plugins.attachments.options import Rules

LONGEST: Final = 100
"""Characters of a safe name: with what is put before and behind it, every file system takes it."""

UNKNOWN: Final = "application/octet-stream"

_OF_WINDOWS: Final = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)
_EXTENSION: Final = re.compile(r"[^.]\.([A-Za-z0-9]{1,16})$")

# The tables of the library itself: those of the machine differ from one to the next.
_TYPES: Final = {**MimeTypes().types_map[0], **MimeTypes().types_map[1]}


def last_part(given: str) -> str:
    """Return the name that a client has for a file: without folders, of any system, nor what cannot be printed.

    >>> last_part("../../etc/photo.JPG"), last_part("C:\\\\temp\\\\a\\0b.txt")
    ('photo.JPG', 'ab.txt')
    """
    name = re.split(r"[/\\]", given)[-1]
    return "".join(each for each in name if each.isprintable()).strip()


def extension(name: str) -> str:
    """Return the extension in small letters, with its dot; empty where there is none.

    >>> extension("photo.JPG"), extension("archive.tar.gz"), extension(".htaccess"), extension("x.")
    ('.jpg', '.gz', '', '')
    """
    found = _EXTENSION.search(name)
    return f".{found[1].lower()}" if found else ""


def safe(name: str) -> str:
    """Return a name of ASCII letters, digits, `-`, `_` and dots, that no system takes for something else.

    >>> safe("Ein Bild (ä).png"), safe(".htaccess"), safe("con.txt"), safe("...")
    ('Ein_Bild_.png', 'htaccess', '_con.txt', 'file')
    """
    ending = extension(name)
    stem = name[: len(name) - len(ending)] if ending else name
    plain = re.sub(r"[^A-Za-z0-9_.-]+", "_", stem.replace(" ", "_"))
    plain = re.sub(r"_{2,}", "_", plain).lstrip(".-").rstrip(".")[:LONGEST] or "file"
    return f"{'_' if _OF_WINDOWS.match(plain + ending) else ''}{plain}{ending}"


def is_unique(rules: Rules) -> bool:
    """Tell whether no two files have one name by these rules, so that none has to be looked for."""
    return rules.randomize and (not rules.filename_pattern or "{rid}" in rules.filename_pattern)


def candidates(rules: Rules, filename: str, now: datetime | None = None) -> Iterator[str]:
    """Yield the names to try for a file, the best first: with `-1`, `-2`, ... before the extension then.

    >>> list(itertools.islice(candidates(Rules(randomize=False), "a b.txt"), 3))
    ['a_b.txt', 'a_b-1.txt', 'a_b-2.txt']
    """
    first = _first(rules, filename, now or datetime.now(UTC))
    yield first
    ending = extension(first)
    stem = first[: len(first) - len(ending)] if ending else first
    for number in itertools.count(1):
        yield f"{stem}-{number}{ending}"


def _first(rules: Rules, filename: str, now: datetime) -> str:
    ending = extension(filename)
    if not rules.randomize:
        return safe(filename)
    rid = str(uuid.uuid4())
    if not rules.filename_pattern:
        return rid + ending
    name = safe(rules.filename_pattern.format(datetime=now.strftime("%Y%m%d%H%M%S"), rid=rid, filename=safe(filename)))
    return name if extension(name) == ending else name + ending


def type_of(filename: str, known: Mapping[str, str]) -> str | None:
    """Return the type that an extension stands for, None for one that is not known.

    >>> type_of("a.PNG", {}), type_of("a.pem", {".pem": "application/x-pem-file"}), type_of("a.unknown", {})
    ('image/png', 'application/x-pem-file', None)
    """
    ending = extension(filename)
    return known.get(ending) or _TYPES.get(ending)


def disposition(filename: str) -> str:
    """Return the Content-Disposition of a file that is not to be shown in place (RFC 6266).

    >>> disposition('a"ä.svg')
    'attachment; filename="a__.svg"; filename*=UTF-8\\'\\'a%22%C3%A4.svg'
    """
    plain = re.sub(r"[^A-Za-z0-9_. -]", "_", filename)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(filename, safe='')}"
