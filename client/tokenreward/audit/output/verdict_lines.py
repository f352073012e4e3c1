"""The verdicts of an audit by label and set, which labels a set was without, and with what was measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tokenreward.audit import verdict
from tokenreward.audit.plan import Label
from tokenreward.audit.report import OVERALL, AuditReport


def verdicts(report: AuditReport, label: str) -> dict[str, str]:
    """Return the verdict on a label in words, by set of spans and over all of them."""
    every = {one.name: one.figures[label] for one in report.spans if label in one.figures} | (
        {OVERALL: report.overall[label]} if label in report.overall else {}
    )
    return {
        name: verdict.on_spans(one.auroc.interval, one.stratified.interval, one.gain.interval).words
        for name, one in every.items()
    }


def overall_verdict(report: AuditReport, label: Label) -> verdict.Verdict | None:
    """Return the verdict on a label over all sets of spans, or None if none of them has it."""
    if (found := report.overall.get(label.name)) is None:
        return None
    return verdict.on_spans(found.auroc.interval, found.stratified.interval, found.gain.interval)


def pair_verdicts(report: AuditReport, label: str) -> dict[str, str]:
    """Return the verdict on a label in words, by set of pairs and over all of them."""
    every = {one.name: one.figures[label] for one in report.pairs if label in one.figures} | (
        {OVERALL: report.overall_pairs[label]} if label in report.overall_pairs else {}
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
    pools = {f"; rewards pooled over each {one.pool} ({one.pool_by})" for one in report.labels if one.pool is not None}
    return (
        f"{found.model}, engine {found.engine} {found.engine_version} in {found.dtype}; {report.responses} responses,"
        f" {report.tokens} tokens; 95% intervals from {report.resamples} resamples of responses{''.join(pools)}"
    )


def left_out(report: AuditReport) -> Iterator[str]:
    """Yield a line for each kind of sets that lack context fields: which labels were not measured on them, and why."""
    by_set: dict[str, dict[str, str]] = {}
    for one in report.left_out:
        by_set.setdefault(one.set, {})[one.label] = one.reason
    sets: dict[str, list[str]] = {}
    for name, reasons in by_set.items():
        words = ", ".join(f"{label} ({reason})" for label, reason in reasons.items())
        sets.setdefault(words, []).append(name)
    for words, names in sets.items():
        yield f"{', '.join(names)}: left out for want of a context field: {words}"
