"""Tables in Markdown."""

from collections.abc import Iterable


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a Markdown table.

    >>> print(table(("", "a"), [("b", "1")]))
    |  | a |
    |---|---|
    | b | 1 |
    """
    names = list(head)
    lines = [names, ["---"] * len(names), *rows]
    return "\n".join("|---" * len(names) + "|" if line is lines[1] else f"| {' | '.join(line)} |" for line in lines)
