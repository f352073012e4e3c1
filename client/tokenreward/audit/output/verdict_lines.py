"""The verdicts of an audit by label and set, and one line that names the model and the engine."""

from __future__ import annotations

from collections.abc import Mapping

from tokenreward.audit import verdict
from tokenreward.audit.report import OVERALL, AuditReport


def verdicts(report: AuditReport, label: str) -> dict[str, str]:
    """Return the verdict on a label in words, by set of spans and over all of them."""
    every = {one.name: one.figures[label] for one in report.spans} | (
        {OVERALL: report.overall[label]} if report.spans else {}
    )
    return {
        name: verdict.on_spans(one.auroc.interval, one.stratified.interval, one.gain.interval).words
        for name, one in every.items()
    }


def pair_verdicts(report: AuditReport, label: str) -> dict[str, str]:
    """Return the verdict on a label in words, by set of pairs and over all of them."""
    every = {one.name: one.figures[label] for one in report.pairs} | (
        {OVERALL: report.overall_pairs[label]} if report.pairs else {}
    )
    return {name: verdict.on_pairs(one.mean.interval, one.mean_controlled.interval) for name, one in every.items()}


def grouped(words: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the sets that each verdict is about, without the verdict over all sets."""
    found: dict[str, list[str]] = {}
    for name, said in words.items():
        if name != OVERALL:
            found.setdefault(said, []).append(name)
    return found


def origin(report: AuditReport) -> str:
    """Return one line that says with what was measured."""
    found = report.fingerprint
    return (
        f"{found.model}, engine {found.engine} {found.engine_version} in {found.dtype}; {report.responses} responses,"
        f" {report.tokens} tokens; 95% intervals from {report.resamples} resamples of responses"
    )
