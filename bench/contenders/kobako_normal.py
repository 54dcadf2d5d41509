"""`kobako` with synchronous=NORMAL. There is no setting for that: acknowledged writes could be lost with the power."""

from kobako.cli import main
from kobako.databases import sqlite

FULL, NORMAL = "PRAGMA synchronous = FULL", "PRAGMA synchronous = NORMAL"

assert FULL in sqlite.PRAGMAS
pragmas = tuple(NORMAL if each == FULL else each for each in sqlite.PRAGMAS)
sqlite.PRAGMAS = pragmas  # type: ignore[assignment]

if __name__ == "__main__":
    main()
