"""The tables of an audit as text, for the terminal and the page."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tokenreward.audit.measures.judged_tokens import BASELINES, SURPRISAL
from tokenreward.audit.measures.pairs import PairFigures, PairReport
from tokenreward.audit.measures.spans import SpanReport
from tokenreward.audit.report import OVERALL, AuditReport
from tokenreward.statistics.bootstrap import Sampled


@dataclass(frozen=True)
class Row:
    """One label's cells."""

    label: str
    cells: Sequence[str]

    @property
    def baseline(self) -> bool:
        """Whether the label is a baseline."""
        return self.label in BASELINES


@dataclass(frozen=True)
class Grid:
    """A table.

    Attributes:
        title: What stands above it.
        columns: The heads of the cells. The label stands before them.
        rows: One for each label.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Row]


#: Sets that stand side by side in a terminal of 80 columns.
_SETS_ABREAST = 4


def grids(report: AuditReport) -> Iterator[Grid]:
    """Yield the tables for a terminal of 80 columns: every set in full, and then all of them side by side."""
    for spans in report.spans:
        yield short_grid(spans)
    if len(report.spans) > 1:
        yield overall_grid(report)
    if len(report.pairs) <= 1:
        yield from map(pair_grid, report.pairs)
    else:
        yield from pairs_grids(report, _SETS_ABREAST)
    if len(report.spans) > 1:
        yield from summary_grids(report, _SETS_ABREAST)


def short_grid(one: SpanReport) -> Grid:
    """Return the figures of one set that decide, for a terminal.

    Where there are several tasks, they have the column of the kind of word, which no verdict asks for.
    """
    tasks = any(not math.isnan(found.controls.same_task.value) for found in one.figures.values())
    columns = ("AUROC", "place", "step", "task" if tasks else "kind", "strat.", "gain", "drift")
    rows = [
        Row(
            label,
            (
                _interval(found.auroc, 2),
                _number(found.controls.same_place.value, 2),
                _number(found.controls.same_step.value, 2),
                _number((found.controls.same_task if tasks else found.controls.same_kind).value, 2),
                _number(found.stratified.value, 2),
                _signed(found.gain.value, 2),
                _signed(found.controls.drift.value, 2),
            ),
        )
        for label, found in one.figures.items()
    ]
    return Grid(_title(one), columns, rows)


def summary_grids(report: AuditReport, abreast: int) -> Iterator[Grid]:
    """Yield every label on every set of spans, so many sets side by side: AUROC, and that at the same place."""
    names = list(dict.fromkeys(name for one in report.spans for name in one.figures))
    for start in range(0, len(report.spans), abreast):
        shown = report.spans[start : start + abreast]
        rows = [Row(name, [_beside(one, name) for one in shown]) for name in names]
        yield Grid("AUROC (among tokens at the same place)", [one.name for one in shown], rows)


def _beside(one: SpanReport, name: str) -> str:
    if name not in one.figures:
        return "-"
    found = one.figures[name]
    return f"{_number(found.auroc.value)} ({_number(found.controls.same_place.value)})"


def span_grid(one: SpanReport) -> Grid:
    """Return the table of one set of spans in full."""
    columns = (
        *("AUROC", "same place", "same step", "same task", "same kind", "same shown", "stratified"),
        *("gain", "drift", "content", "per response", "avg. precision", "sign", "inside", "outside"),
    )
    rows = [
        Row(
            label,
            (
                _interval(found.auroc),
                _interval(found.controls.same_place),
                _interval(found.controls.same_step),
                _interval(found.controls.same_task),
                _number(found.controls.same_kind.value),
                _number(found.controls.same_shown.value),
                _interval(found.stratified),
                _gain(label, found.gain),
                _signed(found.controls.drift.value),
                _signed(found.controls.content),
                _number(found.per_response.value),
                _number(found.average_precision.value),
                _number(found.sign_accuracy),
                _signed(found.inside),
                _signed(found.outside),
            ),
        )
        for label, found in one.figures.items()
    ]
    return Grid(_title(one), columns, rows)


def _title(one: SpanReport) -> str:
    title = f"{one.name}: {one.responses} responses, {one.tokens} tokens, {one.bad_tokens / one.tokens:.1%} of them bad"
    return f"{title}; {one.unseen} bad spans have no token" if one.unseen else title


def kind_grid(one: SpanReport) -> Grid:
    """Return the mean reward by kind of word, and the AUROC among them: style against content."""
    names = [group.name for group in one.figures[SURPRISAL].by_kind]
    rows = [
        Row(label, [f"{_signed(group.reward)} ({_number(group.auroc)})" for group in found.by_kind])
        for label, found in one.figures.items()
    ]
    return Grid("mean reward (AUROC) by kind of word", names, rows)


def length_grid(one: SpanReport) -> Grid | None:
    """Return the AUROC by length of the response, or None if all responses are in one group."""
    names = [group.name for group in one.figures[SURPRISAL].by_length]
    rows = [Row(label, [_number(group.auroc) for group in found.by_length]) for label, found in one.figures.items()]
    return Grid("AUROC by tokens of the response", names, rows) if len(names) > 1 else None


def overall_grid(report: AuditReport) -> Grid:
    """Return the table of the means over all sets of spans."""
    total = len(report.spans)
    rows = [
        Row(
            label if found.sets == total else f"{label} ({found.sets} of {total} sets)",
            (
                _interval(found.auroc, 2),
                _number(found.same_place.value, 2),
                _number(found.stratified.value, 2),
                _signed(found.gain.value, 2),
            ),
        )
        for label, found in report.overall.items()
    ]
    columns = ("AUROC", "same place", "strat.", "gain")
    return Grid(f"{OVERALL}: the mean over {total} sets", columns, rows)


def pairs_grids(report: AuditReport, abreast: int) -> Iterator[Grid]:
    """Yield all sets of pairs, so many side by side: the accuracy by mean reward, and that with length controlled."""
    sets = {f"{one.name} ({one.pairs})": one.figures for one in report.pairs} | {OVERALL: report.overall_pairs}
    names = list(sets)
    for start in range(0, len(names), abreast):
        shown = names[start : start + abreast]
        rows = [
            Row(label, [_preferred(sets[name][label]) if label in sets[name] else "-" for name in shown])
            for label in report.overall_pairs
        ]
        yield Grid("pairs: how often the mean prefers the chosen one (length-controlled)", shown, rows)


def _preferred(found: PairFigures) -> str:
    return f"{_number(found.mean.value, 2)} ({_number(found.mean_controlled.value, 2)})"


def pair_grid(one: PairReport) -> Grid:
    """Return the table of one set of pairs."""
    title = f"{one.name}: {one.pairs} pairs, the chosen one longer in {one.longer:.0%}; how often it is preferred"
    columns = ("by mean", "controlled", "gain", "by sum", "controlled")
    rows = [
        Row(
            label,
            (
                _interval(found.mean, 2),
                _interval(found.mean_controlled, 2),
                _signed(found.gain.value, 2),
                _number(found.total.value, 2),
                _number(found.total_controlled.value, 2),
            ),
        )
        for label, found in one.figures.items()
    ]
    return Grid(title, columns, rows)


def _interval(sampled: Sampled, digits: int = 3) -> str:
    found = sampled.interval
    if math.isnan(found.value):
        return "-"
    return f"{found.value:.{digits}f} [{found.low:.{digits}f}, {found.high:.{digits}f}]"


def _gain(label: str, sampled: Sampled) -> str:
    found = sampled.interval
    if label == SURPRISAL or math.isnan(found.value):
        return "-"
    return f"{found.value:+.3f} [{found.low:+.3f}, {found.high:+.3f}]"


def _number(value: float, digits: int = 3) -> str:
    return "-" if math.isnan(value) else f"{value:.{digits}f}"


def _signed(value: float, digits: int = 3) -> str:
    return "-" if math.isnan(value) else f"{value:+.{digits}f}"
