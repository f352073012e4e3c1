"""An evaluation in words and numbers, for the terminal and for the page alike."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tokenreward.html.escaping import visible
from tokenreward.statistics.bootstrap import Interval
from tokenreward_trainer.evaluation.result import METRICS, Difference, Evaluation, Judged, Metric


@dataclass(frozen=True)
class Grid:
    """A table before it is drawn.

    Attributes:
        title: Its title.
        head: The columns' names, the first that of the rows.
        rows: The cells.
    """

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


def grids(evaluation: Evaluation) -> list[Grid]:
    """Returns the tables: checkpoints, their differences from the baseline, what a judge preferred, and the slices."""
    by_slice = [_slices(evaluation)] if len(evaluation.slices) > 1 else []
    judged = [] if evaluation.judged is None else [_judged(evaluation.judged)]
    return [_means(evaluation), _differences(evaluation), *judged, *by_slice]


def notes(evaluation: Evaluation) -> list[str]:
    """Returns what a reader of the tables must know."""
    said = ["Brackets: 95% intervals, bootstrap over prompts. p: two-sided exact sign test over prompts that differ."]
    if len(evaluation.slices) > 1 or len(evaluation.models) > 2:
        said.append("Every p stands for itself: among twenty, one is below 0.05 by chance alone.")
    said += [
        f"{name}: {count} answers could not be scored; they count in no score."
        for name, count in evaluation.unscored.items()
        if count
    ]
    if evaluation.judged is not None:
        said += _of_judge(evaluation.judged)
    said += [f"{' and '.join(names)} are the same model by content." for names in evaluation.identical]
    return said


def draw(console: Console, evaluation: Evaluation) -> None:
    """Prints tables and notes to a terminal."""
    for grid in grids(evaluation):
        table = Table(title=Text(visible(grid.title)), title_justify="left", title_style="bold")
        for number, name in enumerate(grid.head):
            table.add_column(name, justify="right" if number else "left")
        for row in grid.rows:
            table.add_row(*(visible(cell) for cell in row))
        console.print(table)
    for note in notes(evaluation):
        console.print(Text(visible(note), "dim"), soft_wrap=not console.is_terminal)


def _metrics(evaluation: Evaluation) -> list[Metric]:
    """Those that were measured; the mean score only where it says something else than the share that is right."""
    values = evaluation.overall.values
    same = all(found.get("score") == found.get("right") for found in values.values())
    return [
        metric
        for metric in METRICS
        if metric.name in values[evaluation.baseline] and not (metric.name == "score" and same)
    ]


def _means(evaluation: Evaluation) -> Grid:
    part, metrics = evaluation.overall, _metrics(evaluation)
    rows = [
        [
            name + (" (baseline)" if name == evaluation.baseline else ""),
            *(interval(part.values[name][metric.name], metric.name) for metric in metrics),
        ]
        for name in evaluation.models
    ]
    title = f"{part.prompts} prompts" + (f", {evaluation.n} answers to each" if evaluation.n > 1 else "")
    return Grid(title, ["checkpoint", *(metric.heading for metric in metrics)], rows)


def _differences(evaluation: Evaluation) -> Grid:
    rows = [
        [f"{name}: {metric.heading}", *_difference(evaluation.overall.differences[name][metric.name], metric.name)]
        for name in evaluation.models[1:]
        for metric in _metrics(evaluation)
    ]
    head = ["checkpoint: what", "difference", "higher", "lower", "equal", "p"]
    return Grid(f"Differences from {evaluation.baseline}, prompt by prompt", head, rows)


def _judged(judged: Judged) -> Grid:
    rates = judged.rates.values()
    rows = [
        ("win rate, ties half", *(interval(rate.rate, "share") for rate in rates)),
        ("length-controlled", *(_known(rate.length_controlled) for rate in rates)),
        ("wins / ties / losses", *(f"{rate.wins} / {rate.ties} / {rate.losses}" for rate in rates)),
        ("p", *(p_value(rate.p) for rate in rates)),
        ("both orders agree", *(interval(rate.consistent, "share") for rate in rates)),
        ("mean characters", *(f"{rate.characters[0]:.0f} against {rate.characters[1]:.0f}" for rate in rates)),
    ]
    return Grid(f"{judged.judge['model']} prefers, against {judged.against}", ["", *judged.rates], rows)


def _known(found: Interval | None) -> str:
    return "-" if found is None else interval(found, "share")


def _of_judge(judged: Judged) -> list[str]:
    said = [
        f"Length control: AlpacaEval's {judged.formula}; what the judge would prefer if all answers were of one length."
    ]
    for name, rate in judged.rates.items():
        if rate.unusable:
            said.append(
                f"{name}: {rate.unusable} replies were no verdict, so that {rate.left_out} prompts count nowhere."
            )
        if rate.identical:
            said.append(
                f"{name}: {rate.identical} answers are the same text as {judged.against}'s: ties, not asked about."
            )
        if (bias := _bias(rate.shown_first)) is not None:
            said.append(f"{name}: the judge prefers the answer shown {bias}; both orders together even that out.")
    return said


def _bias(shown_first: Interval) -> str | None:
    if shown_first.above(0.5):
        return f"first ({shown_first.value:.0%})"
    return f"second ({1 - shown_first.value:.0%})" if shown_first.below(0.5) else None


def _slices(evaluation: Evaluation) -> Grid:
    """By the first metric."""
    metric = _metrics(evaluation)[0]
    rows = []
    for part in evaluation.slices[1:]:
        base = interval(part.values[evaluation.baseline][metric.name], metric.name)
        rows.append([f"{part.name} ({part.prompts})", evaluation.baseline, base, "", ""])
        for name in evaluation.models[1:]:
            found = part.differences[name][metric.name]
            mean = interval(part.values[name][metric.name], metric.name)
            gap = interval(found.interval, metric.name, sign=True)
            rows.append(["", name, mean, gap, p_value(found.p)])
    return Grid(
        f"{metric.heading.capitalize()}, by kind of prompt", ["prompts", "checkpoint", "mean", "difference", "p"], rows
    )


def _difference(found: Difference, metric: str) -> list[str]:
    counts = [str(found.higher), str(found.lower), str(found.equal)]
    return [interval(found.interval, metric, sign=True), *counts, p_value(found.p)]


def interval(found: Interval, metric: str, sign: bool = False) -> str:
    """Returns a number with its interval, as `0.413 [0.371, 0.455]`; tokens have one digit."""
    digits = 1 if metric == "tokens" else 3
    if not math.isfinite(found.value):
        return "-"
    form = f"{'+' if sign else ''}.{digits}f"
    ends = f" [{found.low:{form}}, {found.high:{form}}]" if math.isfinite(found.low) else ""
    return f"{found.value:{form}}{ends}"


def p_value(p: float) -> str:
    """Returns a p-value with three digits."""
    return "<0.001" if p < 0.001 else f"{p:.3f}"
