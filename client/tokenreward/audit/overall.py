"""The means over several sets, each counted alike."""

from __future__ import annotations

from collections.abc import Sequence

from tokenreward.audit.measures import pairs
from tokenreward.audit.measures.pairs import PairFigures, PairReport
from tokenreward.audit.measures.spans import SpanReport
from tokenreward.audit.report import Overall
from tokenreward.statistics.bootstrap import mean


def overall_spans(reports: Sequence[SpanReport]) -> dict[str, Overall]:
    """Return every label and baseline over all sets of spans that have it."""
    found = {}
    for name in _names(reports):
        having = [report for report in reports if name in report.figures]
        parts = [report.figures[name] for report in having]
        shared = set.intersection(*(set(part.controls.gains) for part in parts))
        found[name] = Overall(
            auroc=mean([part.auroc for part in parts]),
            stratified=mean([part.stratified for part in parts]),
            same_place=mean([part.controls.same_place for part in parts]),
            same_step=mean([part.controls.same_step for part in parts]),
            same_task=mean([part.controls.same_task for part in parts]),
            same_shown=mean([part.controls.same_shown for part in parts]),
            gains={
                base: mean([part.controls.gains[base] for part in parts])
                for base in parts[0].controls.gains
                if base in shared
            },
            place_gain=mean([part.controls.place_gain for part in parts]),
            wrong=min(report.wrong for report in having),
            right=min(report.right for report in having),
            sets=len(parts),
        )
    return found


def overall_pairs(reports: Sequence[PairReport]) -> dict[str, PairFigures]:
    """Return every label and baseline over all sets of pairs that have it."""
    return {
        name: pairs.overall([report.figures[name] for report in reports if name in report.figures])
        for name in _names(reports)
    }


def _names(reports: Sequence[SpanReport] | Sequence[PairReport]) -> list[str]:
    """Return the labels and baselines of any of these sets, each once."""
    return list(dict.fromkeys(name for report in reports for name in report.figures))
