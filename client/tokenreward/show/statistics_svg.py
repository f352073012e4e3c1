"""The statistics of a labeled file as one SVG of four charts, drawn without a plotting library."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape

import numpy as np

from tokenreward.html.escaping import visible
from tokenreward.statistics.labeled_rewards import BINS, LENGTHS, PARTS, Statistics
from tokenreward.statistics.running_sums import Floats

_WIDTH, _HEIGHT, _GAP = 420, 260, 30
_INNER = (56, 34, 20, 40)  # left, top, right, bottom of a chart
#: Blue and orange: told apart by the colour-blind, and legible on light and dark paper.
_COLOURS = {"chosen": "#3b82c4", "rejected": "#e0712d", "response": "#3b82c4"}
_INK, _LINE = "#777", "#9996"


def svg(found: Statistics, title: str) -> str:
    """Return the picture. It is self-contained."""
    names = list(found.sides)
    tokens = {name: side.histogram / max(1, side.tokens) for name, side in found.sides.items()}
    edges = [f"{i / BINS - 0.5:+.1f}" if i % 4 == 2 else "" for i in range(BINS)]
    charts = [
        _chart("share of tokens by reward", tokens, edges, 0.0),
        _chart(
            "mean reward by place in the response",
            {name: side.position.mean for name, side in found.sides.items()},
            [f"{100 * i // PARTS}%" if not i % 2 else "" for i in range(PARTS)],
            0.0,
        ),
        _chart(
            "mean reward by tokens of the response",
            {name: side.length.mean for name, side in found.sides.items()},
            [f"≤{_short(n)}" for n in LENGTHS] + [f">{_short(LENGTHS[-1])}"],
        ),
    ]
    if found.pairs:
        counts, ends = found.margin_histogram()
        centres = np.round((ends[:-1] + ends[1:]) / 2, 1)
        marks = [f"{centre + 0.0:+.1f}" if not i % 5 else "" for i, centre in enumerate(centres)]
        charts.append(_chart("pairs by sum of rewards, chosen - rejected", {"chosen": counts}, marks))
    rows = (len(charts) + 1) // 2
    width, height = 2 * _WIDTH + _GAP, 60 + rows * (_HEIGHT + _GAP)
    placed = [
        f'<g transform="translate({(i % 2) * (_WIDTH + _GAP)},{60 + (i // 2) * (_HEIGHT + _GAP)})">{chart}</g>'
        for i, chart in enumerate(charts)
    ]
    key = "".join(
        f'<rect x="{12 + 100 * i}" y="34" width="12" height="12" fill="{_COLOURS[name]}"/>'
        f"{_label(30 + 100 * i, 45, name)}"
        for i, name in enumerate(names)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
        f' font-family="system-ui, sans-serif" font-size="12" fill="{_INK}" role="img">'
        f"<title>{_text(title)}</title>"
        f'<text x="12" y="22" font-size="16">{_text(title)}</text>{key}{"".join(placed)}</svg>\n'
    )


def _chart(title: str, series: dict[str, Floats], marks: Sequence[str], place: float = 0.5) -> str:
    """Draw bars beside each other, one series in each colour, with a zero line. A group without values has no bar.

    Args:
        title: What stands above the chart.
        series: The heights of each series, by its name.
        marks: What stands under each group.
        place: Where that stands, 0 for the group's left edge and 0.5 for its middle.
    """
    left, top, right, bottom = _INNER
    values = np.concatenate([v[np.isfinite(v)] for v in series.values()])
    low, high = float(values.min(initial=0.0)), float(values.max(initial=0.0))
    if low == high:
        high = 1.0
    scale = (_HEIGHT - top - bottom) / (high - low)

    def y(value: float) -> float:
        return top + (high - value) * scale

    step = (_WIDTH - left - right) / len(marks)
    parts = [_label(left, 18, title), *_axis(low, high, y)]
    for number, (name, heights) in enumerate(series.items()):
        bar = step * 0.8 / len(series)
        for group, value in enumerate(heights):
            if np.isfinite(value) and value:
                x = left + step * (group + 0.1) + number * bar
                shape = f'x="{x:.1f}" y="{y(max(value, 0)):.1f}" width="{bar:.1f}" height="{abs(value) * scale:.1f}"'
                parts.append(f'<rect {shape} fill="{_COLOURS[name]}"><title>{value:.4g}</title></rect>')
    for group, mark in enumerate(marks):
        parts.append(_label(left + step * (group + place), _HEIGHT - bottom + 18, mark, "middle"))
    return "".join(parts)


def _axis(low: float, high: float, y: Callable[[float], float]) -> list[str]:
    left, _, right, _ = _INNER
    drawn = []
    for value in sorted({low, 0.0, high}):
        at = y(value)
        drawn.append(f'<line x1="{left}" x2="{_WIDTH - right}" y1="{at:.1f}" y2="{at:.1f}" stroke="{_LINE}"/>')
        drawn.append(_label(left - 4, at + 4, f"{value:.2g}", "end"))
    return drawn


def _short(count: int) -> str:
    return str(count) if count < 1024 else f"{count // 1024}k"


def _label(x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{_text(text)}</text>' if text else ""


def _text(text: str) -> str:
    return escape(visible(text))
