"""The tables of an audit as text, for the terminal and the page."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tokenreward.audit.measures.judged_tokens import SURPRISAL
from tokenreward.audit.measures.pairs import PairReport
from tokenreward.audit.measures.spans import SpanReport
from tokenreward.audit.plan import BASELINES
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


def grids(report: AuditReport) -> Iterator[Grid]:
    """Yield the tables for a terminal: every set of spans in full, and several sets of pairs in short."""
    for spans in report.spans:
        yield span_grid(spans)
    if len(report.spans) > 1:
        yield overall_grid(report)
    if len(report.pairs) > 1:
        yield pairs_grid(report)
    else:
        yield from map(pair_grid, report.pairs)


def span_grid(one: SpanReport) -> Grid:
    """Return the table of one set of spans."""
    title = f"{one.name}: {one.responses} responses, {one.tokens} tokens, {one.bad_tokens / one.tokens:.1%} of them bad"
    if one.unseen:
        title += f"; {one.unseen} bad spans have no token"
    columns = ("AUROC", "stratified", "gain", "per response", "avg. precision", "sign", "inside", "outside")
    rows = [
        Row(
            label,
            (
                _interval(found.auroc),
                _interval(found.stratified),
                _gain(label, found.gain),
                _number(found.per_response.value),
                _number(found.average_precision.value),
                _number(found.sign_accuracy),
                f"{found.inside:+.3f}",
                f"{found.outside:+.3f}",
            ),
        )
        for label, found in one.figures.items()
    ]
    return Grid(title, columns, rows)


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
            (_interval(found.auroc), _interval(found.stratified), _gain(label, found.gain)),
        )
        for label, found in report.overall.items()
    ]
    return Grid(f"{OVERALL}: the mean over {total} sets", ("AUROC", "stratified", "gain"), rows)


def pairs_grid(report: AuditReport) -> Grid:
    """Return the table of all sets of pairs, by mean reward."""
    sets = {f"{one.name} ({one.pairs})": one.figures for one in report.pairs} | {OVERALL: report.overall_pairs}
    rows = [
        Row(label, [_interval(figures[label].mean, 2) if label in figures else "-" for figures in sets.values()])
        for label in report.overall_pairs
    ]
    return Grid("pairs: how often the mean reward prefers the chosen response", list(sets), rows)


def pair_grid(one: PairReport) -> Grid:
    """Return the table of one set of pairs."""
    title = f"{one.name}: {one.pairs} pairs, the chosen one longer in {one.longer:.0%}; how often it is preferred"
    columns = ("by mean", "length-controlled", "gain", "by sum", "length-controlled")
    rows = [
        Row(
            label,
            (
                _interval(found.mean),
                _interval(found.mean_controlled),
                _gain(label, found.gain),
                _interval(found.total),
                _interval(found.total_controlled),
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


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"
