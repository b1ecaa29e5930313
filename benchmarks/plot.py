"""A chart as SVG: lines over two axes, the y axis logarithmic. Written here: what it needs of a plotting library is this page."""

import math
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 860, 400, 64, 150, 44, 48
COLOURS = ("#1b6ca8", "#d1495b", "#2e8b57", "#8a6fb0", "#c98a1b", "#555555")
Points = Sequence[tuple[float, float]]


def chart(
    path: Path,
    title: str,
    x_label: str,
    y_label: str,
    series: Mapping[str, Points],
    *,
    marks: Sequence[float] = (),
    spans: Sequence[tuple[float, float]] = (),
    key: str = "",
) -> None:
    """Draw it; `marks` are vertical lines, `spans` shaded stretches of x, and `key` says what those are."""
    xs = [x for points in series.values() for x, _ in points]
    ys = [y for points in series.values() for _, y in points if y > 0]
    low, high = math.floor(math.log10(min(ys))), math.ceil(math.log10(max(ys)))
    x_low, x_high = min(0.0, *xs), max(xs)

    def across(x: float) -> float:
        return LEFT + (min(max(x, x_low), x_high) - x_low) / (x_high - x_low) * (WIDTH - LEFT - RIGHT)

    def up(y: float) -> float:
        share = (math.log10(max(y, 10.0**low)) - low) / max(high - low, 1)
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)

    bottom = HEIGHT - BOTTOM
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        _text(LEFT, 20, title, size=14),
        _text(LEFT, 36, key, colour="#777777"),
    ]
    for start, end in spans:
        width = max(across(end) - across(start), 0.5)
        parts.append(
            f'<rect x="{across(start):.1f}" y="{TOP}" width="{width:.1f}" height="{bottom - TOP}" fill="#f1ead8"/>'
        )
    parts += [_line(across(x), TOP, across(x), bottom, "#c0a060") for x in marks]
    for power in range(low, high + 1):
        y = up(10.0**power)
        parts += [
            _line(LEFT, y, WIDTH - RIGHT, y, "#dddddd"),
            _text(LEFT - 6, y + 4, f"{10.0**power:g}", anchor="end"),
        ]
    for x in _ticks(x_low, x_high):
        parts += [
            _line(across(x), bottom, across(x), bottom + 4, "#555555"),
            _text(across(x), bottom + 18, f"{x:,g}", anchor="middle"),
        ]
    parts += [
        _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 10, x_label, anchor="middle"),
        f'<g transform="translate(14 {HEIGHT / 2}) rotate(-90)">{_text(0, 0, y_label, anchor="middle")}</g>',
    ]
    for number, (name, points) in enumerate(series.items()):
        colour = COLOURS[number % len(COLOURS)]
        places = " ".join(f"{across(x):.1f},{up(y):.1f}" for x, y in points)
        parts += [
            f'<polyline points="{places}" fill="none" stroke="{colour}" stroke-width="1.4"/>',
            _text(WIDTH - RIGHT + 10, TOP + 16 + 18 * number, name, colour=colour),
        ]
    path.write_text("\n".join([*parts, "</svg>\n"]))


def _ticks(low: float, high: float) -> list[float]:
    """Five or so round numbers."""
    step = 10.0 ** math.floor(math.log10((high - low) / 5))
    step *= next(times for times in (1, 2, 5, 10) if (high - low) / (step * times) <= 6)
    return [step * number for number in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _line(x1: float, y1: float, x2: float, y2: float, colour: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"/>'


def _text(
    x: float, y: float, text: str, *, anchor: str = "start", colour: str = "#333333", size: int = 12
) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}" font-size="{size}">{escape(text)}</text>'
