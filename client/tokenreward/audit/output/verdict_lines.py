"""The verdicts of an audit by label and set, and the line that says what was measured with."""

from __future__ import annotations

from collections.abc import Mapping

from tokenreward.audit import verdict
from tokenreward.audit.report import OVERALL, AuditReport


def verdicts(report: AuditReport, label: str) -> dict[str, str]:
    """In words, by set with spans, and over all of them."""
    every = {one.name: one.figures[label] for one in report.spans} | (
        {OVERALL: report.overall[label]} if report.spans else {}
    )
    return {
        name: verdict.on_spans(one.auroc.interval, one.stratified.interval, one.gain.interval).words
        for name, one in every.items()
    }


def pair_verdicts(report: AuditReport, label: str) -> dict[str, str]:
    """The same of sets of pairs."""
    every = {one.name: one.figures[label] for one in report.pairs} | (
        {OVERALL: report.overall_pairs[label]} if report.pairs else {}
    )
    return {name: verdict.on_pairs(one.mean.interval, one.mean_controlled.interval) for name, one in every.items()}


def grouped(words: Mapping[str, str]) -> dict[str, list[str]]:
    """{verdict: the sets it is about}, without the one over all of them."""
    found: dict[str, list[str]] = {}
    for name, said in words.items():
        if name != OVERALL:
            found.setdefault(said, []).append(name)
    return found


def origin(report: AuditReport) -> str:
    """What was measured with, in a line."""
    found = report.fingerprint
    return (
        f"{found.model}, engine {found.engine} {found.engine_version} in {found.dtype}; {report.responses} responses,"
        f" {report.tokens} tokens; 95% intervals from {report.resamples} resamples of responses"
    )
