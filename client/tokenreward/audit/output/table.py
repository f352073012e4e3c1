"""An audit in a terminal: a table for each set, a row for each label, and the verdicts in words."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tokenreward.audit.output.grids import Grid, grids
from tokenreward.audit.output.verdict_lines import first_lines, grouped, left_out, origin, pair_verdicts, verdicts
from tokenreward.audit.plan import Label
from tokenreward.audit.report import OVERALL, AuditReport
from tokenreward.html.escaping import visible

_SHOWN_FAILURES = 5


def draw(console: Console, report: AuditReport) -> None:
    """Print the whole report."""
    for line in first_lines(report):
        _say(console, line, "bold")
    _say(console, origin(report))
    for line in left_out(report):
        _say(console, line)
    for grid in grids(report):
        console.print(_table(grid))
    for label in report.labels:
        _say(console, "")
        _verdicts(console, report, label)
    if report.failures:
        _say(console, f"\n{len(report.failures)} responses or pairs could not be scored and count nowhere:")
        for failure in report.failures[:_SHOWN_FAILURES]:
            _say(console, f"  {failure.set}, {failure.id}: {failure.reason}")


def _table(grid: Grid) -> Table:
    table = Table(title=Text(visible(grid.title)), title_justify="left", title_style="bold", box=SIMPLE_HEAD)
    table.padding = (0, 1, 0, 0)
    table.add_column("label", overflow="fold")
    for column in grid.columns:
        table.add_column(column, justify="right", overflow="fold")
    for row in grid.rows:
        name = Text(f"({row.label})", "dim") if row.baseline else Text(visible(row.label))
        table.add_row(name, *row.cells)
    return table


def _verdicts(console: Console, report: AuditReport, label: Label) -> None:
    """Print the verdict over all sets, then those on single ones. Sets of one verdict share a line."""
    for words, what in ((verdicts(report, label), ""), (pair_verdicts(report, label), " as pairs")):
        if not words:
            continue
        _say(console, f"{label.name}{what}: {words[OVERALL]}.", "" if what else "bold")
        if len(words) > 2:
            for said, names in grouped(words).items():
                _say(console, f"  {', '.join(names)}: {said}.")


def _say(console: Console, line: str, style: str = "") -> None:
    console.print(Text(visible(line), style))
