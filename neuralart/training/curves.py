"""Loss curves: reads metrics.jsonl, and draws it as SVG without scripts or styles."""

from __future__ import annotations

import contextlib
import html
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neuralart.machine.documents import parse_json
from neuralart.machine.words import one_line

MOST_BYTES = 32_000_000  # of metrics.jsonl; of a longer file the end is read

MOST_POINTS = 300  # of a curve; neighbours are averaged

SMOOTHING = 0.1  # weight of the newest value in the moving average

WIDTH, HEIGHT = 640, 280  # units of the picture
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 34, 40  # margins

# Okabe and Ito's colours, which colour-blind people can tell apart, in shades that a light and a
# dark ground both show.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b8860b", "#56a0d3")

TERMS = ("style", "half", "content", "layout", "palette", "tv")

Series = dict[str, list[tuple[float, float]]]


@dataclass(frozen=True)
class Entry:
    """One line of metrics.jsonl.

    photos   photos that were learned on so far
    seconds  training time so far
    losses   the terms of the loss by name, for each stage that was scored, ``x1`` ...
    left     seconds that --minutes left; None without it
    """

    phase: str
    step: int
    photos: int
    seconds: float
    losses: Mapping[str, Mapping[str, float]]
    left: float | None = None


def read_entries(path: Path) -> list[Entry]:
    """The whole lines of a metrics file; empty if it is missing or cannot be read.

    A link is not followed. Lines of another form are left out.
    """
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        with os.fdopen(os.open(path, flags), "rb") as file:
            size = os.fstat(file.fileno()).st_size
            file.seek(max(0, size - MOST_BYTES))
            lines = file.read(MOST_BYTES).split(b"\n")[:-1]
    except OSError:
        return []
    return list(_entries(lines))


def _entries(lines: Sequence[bytes]) -> Iterator[Entry]:
    for line in lines:
        with contextlib.suppress(ValueError, TypeError, KeyError, AttributeError, OverflowError):
            data = parse_json(line.lstrip(b"\0"))
            losses = {
                str(stage): {str(k): float(v) for k, v in terms.items() if _is_finite(v)}
                for stage, terms in data["losses"].items()
            }
            if not _is_finite(data["seconds"]):
                continue
            yield Entry(
                str(data["phase"]),
                int(data["step"]),
                int(data["photos"]),
                float(data["seconds"]),
                losses,
                float(data["left"]) if _is_finite(data.get("left")) else None,
            )


def _is_finite(value: Any) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)


def total_series(entries: Sequence[Entry]) -> Series:
    """The total loss of each stage, over photos."""
    series: Series = {}
    for entry in entries:
        for stage, terms in entry.losses.items():
            if "total" in terms:
                series.setdefault(stage, []).append((entry.photos, terms["total"]))
    return dict(sorted(series.items(), key=lambda pair: _by_number(pair[0])))


def term_series(entries: Sequence[Entry]) -> Series:
    """The terms of the last stage that was scored, over photos."""
    last = max((stage for entry in entries for stage in entry.losses), key=_by_number, default="")
    series: Series = {}
    for term in TERMS:
        points = [
            (float(entry.photos), entry.losses[last][term])
            for entry in entries
            if term in entry.losses.get(last, {})
        ]
        if points:
            series[term] = points
    return series


def _by_number(stage: str) -> tuple[int, str]:
    """A key that puts x10 behind x9."""
    return len(stage), stage


def text(words: Any) -> str:
    """Words from outside as HTML: on one line, without markup."""
    return html.escape(one_line(str(words)))


def curves(title: str, series: Series) -> str:
    """An SVG of curves over photos, with a logarithmic axis; a note where there are none yet.

    A thin line joins the values, a thick one is their moving average. Text and axes have the
    colour of the text around the SVG.
    """
    positive = {name: [p for p in points if p[1] > 0] for name, points in series.items()}
    shown = {name: _thinned(points) for name, points in positive.items() if points}
    latest = ", ".join(f"{name} {_mean_at_end(points):.3g}" for name, points in shown.items())
    label = text(f"{title}: {latest or 'nothing measured yet'}")
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{label}" font-family="system-ui, sans-serif" font-size="12" '
        'fill="currentColor">'
    ]
    parts.append(f'<text x="{LEFT}" y="16" font-weight="600">{text(title)}</text>')
    if not shown:
        middle = f'x="{WIDTH / 2:g}" y="{HEIGHT / 2:g}" text-anchor="middle"'
        return "".join([*parts, f"<text {middle}>Nothing measured yet</text></svg>"])
    axes = _Axes.around(point for points in shown.values() for point in points)
    parts += _grid(axes)
    for k, (name, points) in enumerate(shown.items()):
        colour = COLOURS[k % len(COLOURS)]
        parts.append(_line(axes, points, colour, 'stroke-width="1" stroke-opacity="0.35"'))
        parts.append(_line(axes, _smooth(points), colour, 'stroke-width="2"'))
        at = WIDTH - RIGHT - 74 * (len(shown) - k)
        parts.append(
            f'<path d="M{at} 12h14" stroke="{colour}" stroke-width="3"/>'
            f'<text x="{at + 18}" y="16">{text(name)}</text>'
        )
    return "".join([*parts, "</svg>"])


def _thinned(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """At most `MOST_POINTS` points: the means of as many neighbours each."""
    size = math.ceil(len(points) / MOST_POINTS)
    groups = [points[k : k + size] for k in range(0, len(points), size)]
    return [(sum(x for x, _ in g) / len(g), sum(y for _, y in g) / len(g)) for g in groups]


def _smooth(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """The moving average, which begins as the plain mean of the first values."""
    smooth, value = [], 0.0
    for k, (x, y) in enumerate(points):
        value += max(SMOOTHING, 1 / (k + 1)) * (y - value)
        smooth.append((x, value))
    return smooth


def _mean_at_end(points: list[tuple[float, float]]) -> float:
    return _smooth(points)[-1][1]


@dataclass(frozen=True)
class _Axes:
    """What the axes show: photos from ``low_x``, losses from ``low_y`` to ``high_y``."""

    low_x: float
    high_x: float
    low_y: float
    high_y: float

    @classmethod
    def around(cls, points: Iterator[tuple[float, float]]) -> _Axes:
        xs, ys = zip(*points, strict=True)
        low, high = min(ys) / 1.1, max(ys) * 1.1
        return cls(min(xs), max(max(xs), min(xs) + 1), low, high)

    def x(self, value: float) -> float:
        share = (value - self.low_x) / (self.high_x - self.low_x)
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        share = math.log(value / self.low_y) / math.log(self.high_y / self.low_y)
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)


def _line(axes: _Axes, points: list[tuple[float, float]], colour: str, how: str) -> str:
    places = " ".join(f"{axes.x(x):.1f},{axes.y(y):.1f}" for x, y in points)
    return f'<polyline points="{places}" fill="none" stroke="{colour}" {how}/>'


def _grid(axes: _Axes) -> list[str]:
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    parts = []
    for value in _log_ticks(axes.low_y, axes.high_y):
        y = f"{axes.y(value):.1f}"
        parts.append(
            f'<path d="M{LEFT} {y}H{right}" stroke="currentColor" stroke-opacity="0.2"/>'
            f'<text x="{LEFT - 6}" y="{y}" dy="4" text-anchor="end">{value:g}</text>'
        )
    for value in _ticks(axes.low_x, axes.high_x):
        parts.append(
            f'<text x="{axes.x(value):.1f}" y="{bottom + 16}" text-anchor="middle">'
            f"{value:,.0f}</text>"
        )
    parts.append(
        f'<path d="M{LEFT} {TOP}V{bottom}H{right}" fill="none" stroke="currentColor"/>'
        f'<text x="{right}" y="{HEIGHT - 6}" text-anchor="end">photos</text>'
    )
    return parts


def _log_ticks(low: float, high: float) -> list[float]:
    """Round numbers: a few in each power of ten; of a wide range the powers alone."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    digits: tuple[float, ...] = (1.0,) if high > 1000 * low else (1.0, 2.0, 5.0)
    if high < 6 * low:
        digits = (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0)
    ticks = [digit * 10.0**power for power in powers for digit in digits]
    return [tick for tick in ticks if low <= tick <= high]


def _ticks(low: float, high: float) -> list[float]:
    """About five round numbers."""
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = max(1.0, next(k * power for k in (1, 2, 5, 10) if k * power >= rough))
    return [k * step for k in range(math.ceil(low / step), math.floor(high / step) + 1)]
