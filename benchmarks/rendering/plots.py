"""Charts as SVG, by the standard library alone.

Every colour is explicit, the background too, so that a chart is the same on a light
page and on a dark one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, isfinite, log10

INK, MUTED, GRID, PAPER, EDGE = "#1f2328", "#59636e", "#e3e7eb", "#ffffff", "#d0d7de"
FONT = "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif"
MARKERS = ("circle", "square", "diamond", "triangle", "down", "cross")


@dataclass(frozen=True)
class Series:
    """What one server did; the first of a chart is drawn last, and thicker."""

    label: str
    colour: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Panel:
    """One pair of logarithmic axes."""

    title: str
    x_label: str
    y_label: str
    series: Sequence[Series]


@dataclass(frozen=True)
class Bar:
    label: str
    colour: str
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class BarPanel:
    title: str
    unit: str
    bars: Sequence[Bar]


# --- numbers ---


def brief(value: float) -> str:
    """A number as short as an axis wants it: 250, 1.5k, 10k, 2M."""
    for limit, letter in ((1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:.3g}{letter}"
    return f"{value:.3g}"


def tick_values(low: float, high: float) -> list[float]:
    """Round values that enclose a range, evenly enough for logarithmic axes."""
    decades = log10(high / low)
    steps = (1,) if decades > 3.5 else (1, 3) if decades > 1.8 else (1, 2, 5)
    first, last = floor(log10(low)), ceil(log10(high))
    values = [
        step * 10.0**exponent for exponent in range(first, last + 1) for step in steps
    ]
    below = [value for value in values if value <= low * 1.001]
    above = [value for value in values if value >= high * 0.999]
    return [value for value in values if below[-1] <= value <= above[0]]


def axis(values: Sequence[float], start: float, end: float) -> Axis:
    low, high = (min(values), max(values)) if values else (1.0, 10.0)
    if high < low * 1.5:
        low, high = low / 1.5, high * 1.5
    ticks = tick_values(low, high)
    return Axis(ticks, start, end)


@dataclass(frozen=True)
class Axis:
    """A logarithmic axis between two places of the picture."""

    ticks: Sequence[float]
    start: float
    end: float

    def at(self, value: float) -> float:
        low, high = log10(self.ticks[0]), log10(self.ticks[-1])
        return self.start + (log10(value) - low) / (high - low) * (
            self.end - self.start
        )


# --- drawing ---


def text(
    x: float,
    y: float,
    words: str,
    *,
    size: int = 12,
    anchor: str = "start",
    colour: str = INK,
    weight: int = 400,
    turn: bool = False,
) -> str:
    turned = f' transform="rotate(-90 {x:.1f} {y:.1f})"' if turn else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" '
        f'fill="{colour}" font-weight="{weight}"{turned}>{escape(words)}</text>'
    )


def line(x1: float, y1: float, x2: float, y2: float, colour: str = GRID) -> str:
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" '
        f'stroke="{colour}"/>'
    )


def marker(kind: str, x: float, y: float, colour: str, size: float = 4) -> str:
    if kind == "circle":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{size}" fill="{colour}"/>'
    if kind == "cross":
        return (
            f'<path d="M{x - size:.1f},{y - size:.1f}l{2 * size},{2 * size}'
            f'm0,{-2 * size}l{-2 * size},{2 * size}" stroke="{colour}" '
            'stroke-width="2.4" fill="none"/>'
        )
    corners = {
        "square": ((-1, -1), (1, -1), (1, 1), (-1, 1)),
        "diamond": ((0, -1.35), (1.35, 0), (0, 1.35), (-1.35, 0)),
        "triangle": ((0, -1.25), (1.25, 1), (-1.25, 1)),
        "down": ((0, 1.25), (1.25, -1), (-1.25, -1)),
    }[kind]
    points = " ".join(f"{x + size * dx:.1f},{y + size * dy:.1f}" for dx, dy in corners)
    return f'<polygon points="{points}" fill="{colour}"/>'


def picture(width: float, height: float, title: str, parts: Sequence[str]) -> str:
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" '
            f'height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}" '
            f'font-family="{FONT}" role="img" aria-label="{escape(title)}">',
            f"<title>{escape(title)}</title>",
            f'<rect x="0.5" y="0.5" width="{width - 1:.0f}" height="{height - 1:.0f}" '
            f'rx="6" fill="{PAPER}" stroke="{EDGE}"/>',
            text(20, 30, title, size=16, weight=600),
            *parts,
            "</svg>",
            "",
        ]
    )


def legend(series: Sequence[Series], y: float) -> list[str]:
    parts = []
    x = 20.0
    for number, item in enumerate(series):
        kind = MARKERS[number % len(MARKERS)]
        parts.append(line(x, y, x + 22, y, item.colour))
        parts.append(marker(kind, x + 11, y, item.colour))
        parts.append(text(x + 28, y + 4, item.label))
        x += 28 + 7.2 * len(item.label) + 22
    return parts


def curves(panel: Panel, left: float, top: float, width: float, height: float) -> str:
    """One panel: axes, grid and lines, in a box of that size."""
    points = [
        point
        for item in panel.series
        for point in item.points
        if isfinite(point[1]) and min(point) > 0
    ]
    x0, x1, y0, y1 = left + 62, left + width - 14, top + height - 50, top + 26
    xs = axis([x for x, _ in points], x0, x1)
    ys = axis([y for _, y in points], y0, y1)
    parts = [text(x0, top + 12, panel.title, size=13, weight=600)]
    for value in xs.ticks:
        parts.append(line(xs.at(value), y0, xs.at(value), y1))
        parts.append(
            text(xs.at(value), y0 + 17, brief(value), anchor="middle", colour=MUTED)
        )
    for value in ys.ticks:
        parts.append(line(x0, ys.at(value), x1, ys.at(value)))
        parts.append(
            text(x0 - 7, ys.at(value) + 4, brief(value), anchor="end", colour=MUTED)
        )
    parts.append(line(x0, y0, x1, y0, MUTED))
    parts.append(line(x0, y0, x0, y1, MUTED))
    middle = (x0 + x1) / 2
    parts.append(text(middle, y0 + 38, panel.x_label, anchor="middle"))
    parts.append(
        text(left + 16, (y0 + y1) / 2, panel.y_label, anchor="middle", turn=True)
    )
    for number, item in reversed(list(enumerate(panel.series))):
        places = [
            (xs.at(x), ys.at(y))
            for x, y in item.points
            if isfinite(y) and min(x, y) > 0
        ]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(
            f'<polyline points="{path}" fill="none" stroke="{item.colour}" '
            f'stroke-width="{3 if number == 0 else 1.8}" stroke-linejoin="round"/>'
        )
        kind = MARKERS[number % len(MARKERS)]
        parts += [marker(kind, x, y, item.colour) for x, y in places]
    return "\n".join(parts)


def line_chart(title: str, panels: Sequence[Panel]) -> str:
    """Panels side by side, under one legend: all have the same series."""
    each, height = (760.0, 420.0) if len(panels) == 1 else (430.0, 380.0)
    parts = legend(panels[0].series, 54)
    for number, panel in enumerate(panels):
        parts.append(curves(panel, 8 + number * each, 76, each, height))
    return picture(16 + each * len(panels), height + 84, title, parts)


def bar_chart(
    title: str, panels: Sequence[BarPanel], words: Callable[[float], str]
) -> str:
    """Panels in three columns, each with a scale of its own that starts at zero."""
    columns, each, row, bar, head = 3, 350.0, 22.0, 14.0, 44.0
    tallest = max(len(panel.bars) for panel in panels)
    height = head + tallest * row + 18
    parts = []
    for number, panel in enumerate(panels):
        left = 20 + number % columns * each
        top = 48 + number // columns * height
        parts.append(text(left, top + 16, panel.title, size=13, weight=600))
        parts.append(text(left, top + 32, panel.unit, size=11, colour=MUTED))
        zero, room = left + 108, each - 108 - 92
        most = max(item.high for item in panel.bars) or 1.0
        for index, item in enumerate(panel.bars):
            y = top + head + index * row
            width = max(room * item.value / most, 0.5)
            parts.append(
                text(zero - 7, y + 11, item.label, size=11, anchor="end", colour=INK)
            )
            parts.append(
                f'<rect x="{zero:.1f}" y="{y:.1f}" width="{width:.1f}" '
                f'height="{bar:.0f}" rx="2" fill="{item.colour}"/>'
            )
            low, high = (zero + room * v / most for v in (item.low, item.high))
            if high - low > 1:
                middle = y + bar / 2
                parts.append(line(low, middle, high, middle, INK))
                parts.append(line(low, middle - 3, low, middle + 3, INK))
                parts.append(line(high, middle - 3, high, middle + 3, INK))
            parts.append(
                text(
                    zero + max(room * item.high / most, width) + 6,
                    y + 11,
                    words(item.value),
                    size=11,
                    weight=600 if index == 0 else 400,
                )
            )
        bottom = top + head + len(panel.bars) * row
        parts.append(line(zero, top + head - 4, zero, bottom, MUTED))
    lines = -(-len(panels) // columns)
    return picture(24 + columns * each, 56 + lines * height, title, parts)
