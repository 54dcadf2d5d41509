"""How many connections to a server a process may have, and how long they are waited for and used."""

import msgspec


class Connections(msgspec.Struct, frozen=True, kw_only=True):
    """`kept` connections stay open, `overflow` more are opened while those are in use.

    `wait_s`: how long a unit of work waits for one. `backlog`: how many units may wait, -1 for any number.
    `use_s`: how long a connection is used before it is replaced, -1 for ever. Source: HTTP API, section 16.6.
    """

    kept: int = 10
    overflow: int = 0
    wait_s: float = 5.0
    backlog: int = -1
    use_s: float = -1

    @property
    def most(self) -> int:
        """How many there are at a time."""
        return self.kept + self.overflow
