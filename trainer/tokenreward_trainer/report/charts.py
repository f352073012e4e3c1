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

#: Distinct in grey and to the colour-blind (Okabe and Ito); the last run, the one of interest, takes the first.
_COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7")

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

    Args:
        records: The runs.
        panels: Title, label of the axis, and names of logged numbers; without them loss, margin, accuracy and
            correlation with the labels.
    """
    figure = Figure(figsize=(11, 6), layout="constrained")
    for axes, (title, label, names) in zip(figure.subplots(2, 2).flat, panels, strict=True):
        for record, colour in _coloured(records):
            _series(axes, record, names, colour)
        axes.set_title(title, fontsize=10, loc="left")
        axes.set_ylabel(label, fontsize=8)
        axes.set_xlabel("step", fontsize=8)
        _plain(axes)
    figure.axes[0].legend(fontsize=8, frameon=False)
    titles = ", ".join(title for title, _, _ in panels)
    about = f"{titles[:1].upper()}{titles[1:]}. Lines: training; dots: held out."
    return Chart(_uri(figure), about)


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
        axes.axhline(0, color="#bbb", linewidth=0.7, zorder=0)
        axes.axvline(0, color="#bbb", linewidth=0.7, zorder=0)
        _plain(axes)
    about = "Learned token rewards against the labels: every token of the held-out pairs shown below."
    return Chart(_uri(figure), about)


def _coloured(records: Sequence[RunRecord]) -> list[tuple[RunRecord, str]]:
    return [(record, _COLOURS[(len(records) - 1 - i) % len(_COLOURS)]) for i, record in enumerate(records)]


def _series(axes: Axes, record: RunRecord, names: Sequence[str], colour: str) -> None:
    """The first of `names` that the run logged; the same of held-out pairs as dots."""
    for prefix, style in (("", "-"), ("eval_", "o")):
        for name in names:
            points = [(entry["step"], entry[prefix + name]) for entry in record.log if prefix + name in entry]
            if points:
                label = record.name if not prefix else None
                axes.plot(*zip(*points, strict=True), style, color=colour, label=label, linewidth=1.4, markersize=6)
                break


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)


def _uri(figure: Figure) -> str:
    buffer = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "tokenreward"}):  # The same run gives the same file.
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return "data:image/svg+xml;base64," + base64.b64encode(buffer.getvalue()).decode()
