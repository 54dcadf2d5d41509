"""The plot: a row for each workload, a dot for each contender, on a logarithmic scale of CPU time. SVG by hand."""

from collections.abc import Mapping
from html import escape
from math import ceil, floor, log10

from bench.figures import Figure, rounded

LEFT, RIGHT, TOP, ROW = 190, 40, 112, 34
WIDTH = 1000
COLOURS = {
    "limit-sqlite-full": "#9aa0a6",
    "limit-sqlite-normal": "#c8ccd0",
    "limit-postgresql": "#5f6368",
    "kobako-sqlite": "#1a73e8",
    "kobako-sqlite-normal": "#7baaf7",
    "kobako-unkept": "#9334e6",
    "kobako-quiet": "#12b5cb",
    "kobako-plugins": "#188038",
    "kobako-postgresql": "#174ea6",
    "kobako-postgresql-unkept": "#c58af9",
    "pocketbase": "#e8710a",
    "kinto": "#d93025",
}

Figures = Mapping[tuple[str, str], Figure]
"""By contender and workload."""


def draw(figures: Figures, contenders: Mapping[str, str], workloads: Mapping[str, str], title: str) -> str:
    """Return an SVG; contenders and workloads are given with their titles, in their order."""
    scale = Scale(figures)
    bottom = TOP + ROW * len(workloads)
    parts = [text(20, 28, title, size=18, weight="bold"), *_legend(contenders), *scale.grid(bottom)]
    for number, (workload, name) in enumerate(workloads.items()):
        y = TOP + ROW * number + ROW / 2
        parts.append(text(LEFT - 14, y + 5, name, anchor="end"))
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y + ROW / 2}" y2="{y + ROW / 2}" stroke="#eee"/>')
        row = [(each, figures[each, workload]) for each in contenders if (each, workload) in figures]
        parts += [dot(scale, y, each, figure, contenders[each]) for each, figure in row]
    height = bottom + 40
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif">\n'
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


class Scale:
    """From microseconds to a place: from one power of ten to another."""

    def __init__(self, figures: Figures) -> None:
        self.first = floor(log10(min(each.least for each in figures.values())))
        self.last = ceil(log10(max(each.most for each in figures.values())))

    def x(self, value: float) -> float:
        """Return where a value is."""
        part = (log10(value) - self.first) / (self.last - self.first)
        return LEFT + part * (WIDTH - LEFT - RIGHT)

    def grid(self, bottom: float) -> list[str]:
        """Return the lines of the powers of ten, and fainter ones between them."""
        parts = []
        for power in range(self.first, self.last + 1):
            x = self.x(10**power)
            parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{bottom}" stroke="#bbb"/>')
            parts.append(text(x, bottom + 22, f"{_time(10**power)}", anchor="middle"))
            for digit in range(2, 10) if power < self.last else ():
                x = self.x(digit * 10**power)
                parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{bottom}" stroke="#f1f1f1"/>')
        return parts


def dot(scale: Scale, y: float, contender: str, figure: Figure, title: str) -> str:
    """Return a dot at the median, and a line from the least to the most."""
    x, colour = scale.x(figure.median), COLOURS[contender]
    return (
        f"<g><title>{escape(title)}: {rounded(figure.median)} µs</title>"
        f'<line x1="{scale.x(figure.least):.1f}" x2="{scale.x(figure.most):.1f}" y1="{y:.1f}" y2="{y:.1f}" '
        f'stroke="{colour}" stroke-width="3" stroke-opacity="0.4"/>'
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="6.5" fill="{colour}" stroke="white"/></g>'
    )


def text(x: float, y: float, words: str, *, anchor: str = "start", size: int = 14, weight: str = "normal") -> str:
    """Return a line of text."""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" font-weight="{weight}" '
        f'fill="#202124">{escape(words)}</text>'
    )


def _legend(contenders: Mapping[str, str]) -> list[str]:
    parts = []
    for number, (name, title) in enumerate(contenders.items()):
        x, y = 20 + number % 4 * 245, 50 + number // 4 * 18
        parts.append(f'<circle cx="{x + 6}" cy="{y}" r="6" fill="{COLOURS[name]}"/>')
        parts.append(text(x + 18, y + 5, title, size=13))
    return parts


def _time(microseconds: int) -> str:
    for unit, size in (("s", 1_000_000), ("ms", 1_000)):
        if microseconds >= size:
            return f"{microseconds // size} {unit}"
    return f"{microseconds} µs"
