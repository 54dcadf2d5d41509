"""Growth curves: CPU time by size, a panel for each axis; a colour for each workload, dashes for PostgreSQL. SVG."""

from collections.abc import Iterator, Mapping
from html import escape
from math import ceil, log10

from bench.figures import Figure, rounded
from bench.plot import text

WIDTH, HEIGHT = 1000, 480
LEFT, RIGHT, TOP, BOTTOM, GAP = 70, 30, 112, 60, 60
COLOURS = ("#1a73e8", "#e8710a", "#188038", "#9334e6")
DASHES = {"PostgreSQL": "7 5"}
STEPS = (1, 2, 5, 10, 20)

Lines = Mapping[tuple[str, str], Mapping[int, Figure]]
"""What costs how much by size: workloads on backends."""


def draw(title: str, panels: Mapping[str, Lines]) -> str:
    """Return an SVG with panels beside each other, each named by its axis; all have the same scale of costs."""
    colours = dict(zip(dict.fromkeys(name for lines in panels.values() for name, _ in lines), COLOURS, strict=False))
    most = max(each.most for lines in panels.values() for line in lines.values() for each in line.values())
    width = (WIDTH - LEFT - RIGHT - GAP * (len(panels) - 1)) / len(panels)
    parts = [text(20, 28, title, size=18, weight="bold"), *_legend(colours)]
    for number, (axis, lines) in enumerate(panels.items()):
        panel = Panel(LEFT + number * (width + GAP), width, sorted({x for line in lines.values() for x in line}), most)
        parts += panel.grid(axis)
        for (workload, backend), line in lines.items():
            parts += panel.line(f"{workload}, {backend}", line, colours[workload], DASHES.get(backend, "none"))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif">\n'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


class Panel:
    """One axis: sizes on a logarithmic scale, and costs from none to the most."""

    def __init__(self, left: float, width: float, sizes: list[int], most: float) -> None:
        self.left, self.width, self.sizes = left, width, sizes
        self.step = _step(most)
        self.top = ceil(most / self.step) * self.step

    def x(self, size: int) -> float:
        """Return where a size is."""
        first, last = log10(self.sizes[0]), log10(self.sizes[-1])
        return self.left + self.width * ((log10(size) - first) / (last - first) if last > first else 0.5)

    def y(self, cost: float) -> float:
        """Return where a cost is."""
        return TOP + (HEIGHT - TOP - BOTTOM) * (1 - cost / self.top)

    def grid(self, axis: str) -> Iterator[str]:
        """Yield the lines of round costs, and the sizes that were measured."""
        for number in range(round(self.top / self.step) + 1):
            y = self.y(number * self.step)
            yield f'<line x1="{self.left}" x2="{self.left + self.width}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>'
            yield text(self.left - 8, y + 4, f"{number * self.step:,.0f}", anchor="end", size=12)
        yield text(self.left - 8, TOP - 14, "µs", anchor="end", size=12)
        for size in self.sizes:
            yield text(self.x(size), HEIGHT - BOTTOM + 20, f"{size:,}", anchor="middle", size=12)
        yield text(self.left + self.width / 2, HEIGHT - 14, axis, anchor="middle")

    def line(self, title: str, line: Mapping[int, Figure], colour: str, dashes: str) -> Iterator[str]:
        """Yield a line through the medians; at each, one from the least to the most."""
        points = " ".join(f"{self.x(size):.1f},{self.y(each.median):.1f}" for size, each in line.items())
        style = f'stroke="{colour}" stroke-width="2" stroke-dasharray="{dashes}"'
        yield f'<polyline points="{points}" fill="none" {style}/>'
        for size, each in line.items():
            x = f"{self.x(size):.1f}"
            yield (
                f"<g><title>{escape(title)}, {size:,}: {rounded(each.median)} µs</title>"
                f'<line x1="{x}" x2="{x}" y1="{self.y(each.least):.1f}" y2="{self.y(each.most):.1f}" '
                f'stroke="{colour}" stroke-width="3" stroke-opacity="0.35"/>'
                f'<circle cx="{x}" cy="{self.y(each.median):.1f}" r="4.5" fill="{colour}" stroke="white"/></g>'
            )


def _step(most: float) -> float:
    """Return a round number, of which at most five are so much.

    >>> _step(990), _step(2400), _step(45)
    (200.0, 500.0, 10.0)
    """
    power: float = 10.0 ** (len(str(int(most))) - 2)
    return next(step * power for step in STEPS if most <= 5 * step * power)


def _legend(colours: Mapping[str, str]) -> Iterator[str]:
    for number, (name, colour) in enumerate(colours.items()):
        x = 20 + number * 190
        yield f'<circle cx="{x + 6}" cy="52" r="6" fill="{colour}"/>' + text(x + 18, 57, name, size=13)
    for number, (name, dashes) in enumerate((("SQLite", "none"), *DASHES.items())):
        x = 20 + number * 190
        line = f'<line x1="{x}" x2="{x + 40}" y1="74" y2="74" stroke="#202124" stroke-width="2" '
        yield f'{line}stroke-dasharray="{dashes}"/>' + text(x + 50, 79, name, size=13)
