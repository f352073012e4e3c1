"""An audit in a terminal: a table for each set, a row for each label, and what follows from it in words."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tokenreward.audit.grids import Grid, grids
from tokenreward.audit.report import origin, verdicts
from tokenreward.audit.study import OVERALL, AuditReport
from tokenreward.show.visible import visible

_SHOWN_FAILURES = 5


def draw(console: Console, report: AuditReport) -> None:
    _say(console, origin(report))
    for grid in grids(report):
        console.print(_table(grid))
    for label in report.labels:
        _say(console, "")
        _verdicts(console, report, label.name)
    if report.failures:
        _say(console, f"\n{len(report.failures)} responses or pairs could not be scored and count nowhere:")
        for failure in report.failures[:_SHOWN_FAILURES]:
            _say(console, f"  {failure.set}, {failure.id}: {failure.reason}")


def _table(grid: Grid) -> Table:
    table = Table(title=Text(visible(grid.title)), title_justify="left", title_style="bold")
    table.add_column("label")
    for name in grid.columns:
        table.add_column(name, justify="right")
    for row in grid.rows:
        name = Text(f"{row.label} (baseline)", "dim") if row.baseline else Text(visible(row.label))
        table.add_row(name, *row.cells)
    return table


def _verdicts(console: Console, report: AuditReport, label: str) -> None:
    words = verdicts(report, label)
    whole = words.pop(OVERALL, "") if len(report.spans) > 1 else ""
    _say(console, f"{label}: {whole}." if whole else f"{label}:", "bold")
    for name, said in words.items():
        if name != OVERALL:
            _say(console, f"  {name}: {said}.")


def _say(console: Console, line: str, style: str = "") -> None:
    console.print(Text(visible(line), style), soft_wrap=not console.is_terminal)
