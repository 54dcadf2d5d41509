"""How log entries come out: text for people, JSON for machines, where the settings say.

Entries are records of `logging`; what they tell besides a message is in their `fields`, a dict. `text.py` and
`jsonlines.py` turn them into lines, `setup.py` says which loggers write them where. Whatever clients send comes out
as one line of visible characters: nobody forges an entry, or moves the cursor of a terminal.

Source: HTTP API, sections 15.2 to 15.4; objects, 26.4; reliability, O14.
"""

from kobako.logs.jsonlines import HekaFormatter, JsonFormatter
from kobako.logs.setup import configure, flush
from kobako.logs.text import TextFormatter, printable

__all__ = ["HekaFormatter", "JsonFormatter", "TextFormatter", "configure", "flush", "printable"]
