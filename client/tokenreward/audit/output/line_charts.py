"""Line charts as inline SVG, without a plotting library."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tokenreward.html.document import text

_WIDTH, _HEIGHT = 340, 300
_LEFT, _TOP, _RIGHT, _BOTTOM = 62, 30, 14, 42
_INK, _LINE = "#777", "#9996"
#: Told apart by most of the colour-blind, legible on light and dark paper; dashes tell the rest apart.
_COLOURS = ("#3b82c4", "#e0712d", "#2a9d6f", "#b5529b", "#8a6d3b", "#5b5bd6", "#c94f4f", "#3f9f9f")
_DASHES = ("", "6 3", "2 3")


@dataclass(frozen=True)
class Look:
    """How one label is drawn, the same in all charts of a page.

    Attributes:
        colour: A CSS colour.
        dash: An SVG dash pattern.
    """

    colour: str
    dash: str

    @classmethod
    def of(cls, number: int, baseline: bool) -> Look:
        """Return the look of the label with this number, among the baselines or the others."""
        if baseline:
            return cls("#8a8f98", ("1 0", "6 3", "2 3", "8 2 2 2")[number % 4])
        return cls(_COLOURS[number % len(_COLOURS)], _DASHES[number // len(_COLOURS) % len(_DASHES)])

    @property
    def stroke(self) -> str:
        """The look as SVG attributes."""
        return f'stroke="{self.colour}"' + (f' stroke-dasharray="{self.dash}"' if self.dash else "")


@dataclass(frozen=True)
class Line:
    """One label's points. A point that is not a number is left out.

    Attributes:
        name: The label.
        look: How it is drawn.
        x: The points' places.
        y: Their heights.
    """

    name: str
    look: Look
    x: Sequence[float]
    y: Sequence[float]


def chart(
    title: str,
    lines: Sequence[Line],
    axes: tuple[str, str],
    x_range: tuple[float, float],
    y_range: tuple[float, float],
    *,
    diagonal: bool = False,
    level: float | None = None,
    dots: bool = False,
) -> str:
    """Return a chart as SVG.

    Args:
        title: What stands above it.
        lines: The lines.
        axes: What x and y are.
        x_range: The ends of the x axis.
        y_range: The ends of the y axis.
        diagonal: Whether to draw a line of reference from corner to corner.
        level: The height of a line of reference, if there is one.
        dots: Whether to mark the points.
    """

    def place(x: float, y: float) -> tuple[float, float]:
        across, down = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
        (low, high), (bottom, top) = x_range, y_range
        return _LEFT + (x - low) / (high - low) * across, _TOP + (top - y) / (top - bottom) * down

    def stroke(start: tuple[float, float], end: tuple[float, float], how: str) -> str:
        (a, b), (c, d) = place(*start), place(*end)
        return f'<line x1="{a:.1f}" y1="{b:.1f}" x2="{c:.1f}" y2="{d:.1f}" {how}/>'

    parts = [_label(_LEFT, 18, title, "start", 13)]
    for value in (x_range[0], sum(x_range) / 2, x_range[1]):
        parts.append(stroke((value, y_range[0]), (value, y_range[1]), f'stroke="{_LINE}"'))
        parts.append(_label(place(value, 0)[0], _HEIGHT - _BOTTOM + 15, f"{value:.2g}"))
    for value in (y_range[0], sum(y_range) / 2, y_range[1]):
        parts.append(stroke((x_range[0], value), (x_range[1], value), f'stroke="{_LINE}"'))
        parts.append(_label(_LEFT - 5, place(0, value)[1] + 4, f"{value:.2g}", "end"))
    parts.append(_label((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 8, axes[0]))
    parts.append(f'<g transform="translate(12,{_HEIGHT / 2}) rotate(-90)">{_label(0, 0, axes[1])}</g>')
    reference = f'stroke="{_INK}" stroke-dasharray="3 3"'
    if diagonal:
        parts.append(stroke((x_range[0], y_range[0]), (x_range[1], y_range[1]), reference))
    if level is not None:
        parts.append(stroke((x_range[0], level), (x_range[1], level), reference))
    for line in lines:
        points = [place(x, y) for x, y in zip(line.x, line.y, strict=True) if math.isfinite(x) and math.isfinite(y)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        name = f"<title>{text(line.name)}</title>"
        parts.append(f'<polyline points="{path}" fill="none" {line.look.stroke} stroke-width="1.6">{name}</polyline>')
        if dots:
            marks = (f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.4" fill="{line.look.colour}"/>' for x, y in points)
            parts.extend(marks)
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}" font-size="11" fill="{_INK}"'
        f' role="img" aria-label="{text(title)}">{"".join(parts)}</svg>'
    )


def key(looks: Sequence[tuple[str, Look]]) -> str:
    """Return the key of the lines as HTML."""
    entries = (
        f'<span><svg width="26" height="10" aria-hidden="true"><line x1="0" y1="5" x2="26" y2="5" {look.stroke}'
        f' stroke-width="2.5"/></svg> {text(name)}</span>'
        for name, look in looks
    )
    return f'<p class="key">{"".join(entries)}</p>'


def _label(x: float, y: float, words: str, anchor: str = "middle", size: int = 11) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}">{text(words)}</text>'
