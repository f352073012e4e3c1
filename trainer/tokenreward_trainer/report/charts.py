"""Curves and scatter plots as SVG in data URIs, so that nothing stands beside the page."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tokenreward_trainer.training.run_record import RunRecord

#: Distinct in grey and to the colour-blind (Okabe and Ito); the last run, the one of interest, takes the first. Each
#: with the shade that a dark page takes.
_COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7")
_DARK = {"#0072b2": "#56b4e9", "#e69f00": "#f0c05a", "#009e73": "#4fd1a5", "#cc79a7": "#e5a8cb"}
#: Colours that matplotlib is given for ink and grid, and what they become on a light and on a dark page.
_INK, _GRID = "#1b1b1f", "#b9b9c0"
_THEMES = {_INK: "#e4e4e8", _GRID: "#55555f", **_DARK}

#: Title, label of the axis, and the logged numbers of which the first that a run has is drawn.
Panel = tuple[str, str, tuple[str, ...]]

_PANELS: Sequence[Panel] = (
    ("loss", "loss", ("loss/preference", "loss")),
    ("reward margin", "chosen - rejected", ("rewards/margins",)),
    ("accuracy", "share of pairs", ("rewards/accuracies",)),
    ("token rewards against labels", "correlation", ("token_rewards/correlation",)),
)


@dataclass(frozen=True)
class Chart:
    """A picture for a page.

    Attributes:
        uri: SVG in a `data:` address.
        description: What it shows, for people.
    """

    uri: str
    description: str


def curves(records: Sequence[RunRecord], panels: Sequence[Panel] = _PANELS) -> Chart:
    """Draws four panels over training steps.

    Curves of two runs often lie on each other. So below each panel a strip shows by how much the last run is above or
    below the first.

    Args:
        records: The runs.
        panels: Title, label of the axis, and names of logged numbers; without them loss, margin, accuracy and
            correlation with the labels.
    """
    apart = len(records) > 1
    figure = Figure(figsize=(11, 8.5 if apart else 6), layout="constrained")
    rows = figure.subplots(4 if apart else 2, 2, height_ratios=[3, 1.2] * 2 if apart else None, sharex="col")
    for number, (title, label, names) in enumerate(panels):
        row, column = divmod(number, 2)
        axes = rows[2 * row if apart else row][column]
        for place, (record, colour) in enumerate(_coloured(records)):
            _series(axes, record, names, colour, behind=place < len(records) - 1)
        axes.set_title(title, fontsize=10, loc="left")
        axes.set_ylabel(label, fontsize=8)
        _plain(axes)
        if apart:
            axes = rows[2 * row + 1][column]
            _difference(axes, records[0], records[-1], names)
        axes.set_xlabel("step", fontsize=8)
        axes.tick_params(labelbottom=True)
    if figure.axes[0].lines:
        figure.axes[0].legend(fontsize=8, frameon=False, labelcolor=_INK)
    titles = ", ".join(title for title, _, _ in panels)
    about = f"{titles[:1].upper()}{titles[1:]}. Lines: training; dots: held out."
    strips = f" Strips: {records[-1].name} less {records[0].name}." if apart else ""
    return Chart(_uri(figure), about + strips)


def scatter(records: Sequence[RunRecord]) -> Chart:
    """Draws learned token rewards of the held-out pairs against their labels, one panel a run."""
    figure = Figure(figsize=(5.5 * len(records), 4), layout="constrained")
    panels = np.atleast_1d(figure.subplots(1, len(records), sharex=True, sharey=True))
    for axes, (record, colour) in zip(panels.flat, _coloured(records), strict=True):
        points = [
            (label, learned)
            for pair in record.examples
            for response in pair.responses
            if response.labels is not None
            for label, learned in zip(response.labels, response.learned_after, strict=True)
        ]
        labels, learned = np.array(points).reshape(-1, 2).T
        axes.scatter(labels, learned, s=9, color=colour, alpha=0.5, linewidths=0)
        varies = len(labels) > 1 and labels.std() > 0 and learned.std() > 0
        correlation = f", r = {np.corrcoef(labels, learned)[0, 1]:.2f}" if varies else ""
        axes.set_title(f"{record.name}{correlation}", fontsize=10, loc="left")
        axes.set_xlabel("label", fontsize=8)
        axes.set_ylabel("learned: β log π/π_ref", fontsize=8)
        axes.axhline(0, color=_GRID, linewidth=0.7, zorder=0)
        axes.axvline(0, color=_GRID, linewidth=0.7, zorder=0)
        _plain(axes)
    about = "Learned token rewards against the labels: every token of the held-out pairs shown below."
    return Chart(_uri(figure), about)


def _coloured(records: Sequence[RunRecord]) -> list[tuple[RunRecord, str]]:
    return [(record, _COLOURS[(len(records) - 1 - i) % len(_COLOURS)]) for i, record in enumerate(records)]


def _series(axes: Axes, record: RunRecord, names: Sequence[str], colour: str, *, behind: bool) -> None:
    """The first of `names` that the run logged; the same of held-out pairs as dots. One behind is wide and dashed."""
    for prefix, style in (("", "--" if behind else "-"), ("eval_", "s" if behind else "o")):
        points = _logged(record, prefix, names)
        if points:
            label = record.name if not prefix else None
            width, size = (2.6, 8) if behind else (1.4, 5)
            axes.plot(*zip(*points, strict=True), style, color=colour, label=label, linewidth=width, markersize=size)


def _difference(axes: Axes, first: RunRecord, last: RunRecord, names: Sequence[str]) -> None:
    """The last run less the first, at the steps that both logged."""
    for prefix, style in (("", "-"), ("eval_", "o")):
        before, after = (dict(_logged(record, prefix, names)) for record in (first, last))
        points = [(step, after[step] - before[step]) for step in before if step in after]
        if points:
            axes.plot(*zip(*points, strict=True), style, color=_COLOURS[0], linewidth=1.2, markersize=4)
    axes.axhline(0, color=_GRID, linewidth=0.7, zorder=0)
    axes.set_ylabel("difference", fontsize=7)
    _plain(axes)


def _logged(record: RunRecord, prefix: str, names: Sequence[str]) -> list[tuple[float, float]]:
    return next((found for name in names if (found := record.logged(prefix + name))), [])


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_INK)
    axes.tick_params(labelsize=8, colors=_INK)
    for part in (axes.title, axes.xaxis.label, axes.yaxis.label):
        part.set_color(_INK)


def _uri(figure: Figure) -> str:
    buffer = io.BytesIO()
    # Text stays text, in the reader's own font; the same run gives the same file.
    with mpl.rc_context({"svg.hashsalt": "tokenreward", "svg.fonttype": "none"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None}, transparent=True)
    svg = buffer.getvalue().decode()
    return "data:image/svg+xml;base64," + base64.b64encode(_themed(svg).encode()).decode()


def _themed(svg: str) -> str:
    """The picture with colours that follow the reader's choice of light or dark."""
    for number, light in enumerate(_THEMES):
        svg = svg.replace(light, f"var(--c{number})")
    light = "".join(f"--c{number}:{colour};" for number, colour in enumerate(_THEMES))
    dark = "".join(f"--c{number}:{colour};" for number, colour in enumerate(_THEMES.values()))
    style = (
        f"<style>:root{{color-scheme:light dark;{light}}}@media (prefers-color-scheme:dark){{:root{{{dark}}}}}"
        "text{font-family:system-ui,sans-serif!important}</style>"
    )
    head, tag, rest = svg.partition("<defs>")
    return head + style + tag + rest
