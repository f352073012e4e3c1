"""The verdicts of an audit by label and set, which labels a set was without, and with what was measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tokenreward.audit import verdict
from tokenreward.audit.measures.controls import Controls
from tokenreward.audit.measures.pairs import PairFigures
from tokenreward.audit.measures.spans import SpanFigures, SpanReport
from tokenreward.audit.plan import Label
from tokenreward.audit.report import OVERALL, AuditReport, Overall
from tokenreward.audit.verdict import Findings, Verdict


def judgements(report: AuditReport, label: Label) -> dict[str, Verdict]:
    """Return the verdict on a label by set of spans, and over all of them."""
    found = {}
    for one in report.spans:
        if (figures := one.figures.get(label.name)) is not None:
            found[one.name] = verdict.on_spans(_findings(one, figures, figures.controls, label))
    if (over := report.overall.get(label.name)) is not None:
        found[OVERALL] = verdict.on_spans(_findings(over, over, over, label))
    return found


def verdicts(report: AuditReport, label: Label) -> dict[str, str]:
    """Return the verdict on a label in words, by set of spans and over all of them.

    The one over all sets begins with the pairs whose worse response the label's mean prefers, if there are any.
    """
    found = {name: one.words for name, one in judgements(report, label).items()}
    if OVERALL in found and (worse := preferring_worse(report, label.name)):
        found[OVERALL] = f"{worse}; {found[OVERALL]}"
    return found


def overall_verdict(report: AuditReport, label: Label) -> Verdict | None:
    """Return the verdict on a label over all sets of spans, or None if none of them has it."""
    return judgements(report, label).get(OVERALL)


def pair_verdicts(report: AuditReport, label: Label) -> dict[str, str]:
    """Return the verdict on a label in words, by set of pairs and over all of them."""
    return {
        name: verdict.on_pairs(one.mean.interval, one.mean_controlled.interval, pairs)
        for name, (one, pairs) in _pairs_of(report, label.name).items()
    }


def preferring_worse(report: AuditReport, label: str) -> str | None:
    """Return in words on which sets of pairs a label's mean reward prefers the worse response; None if on none."""
    found = []
    for name, (one, pairs) in _pairs_of(report, label).items():
        intervals = one.mean.interval, one.mean_controlled.interval
        if name != OVERALL and verdict.prefers_worse(*intervals, pairs):
            found.append(f"{name} {verdict.judged_accuracy(*intervals).value:.2f}")
    return f"their mean prefers the worse response of a pair ({', '.join(found)})" if found else None


def without_verdict(report: AuditReport) -> list[str]:
    """Return the sets that have too few responses for a verdict."""
    few = [one.name for one in report.spans if min(one.wrong, one.right) < verdict.FEWEST]
    few += [one.name for one in report.pairs if one.pairs < verdict.FEWEST]
    return list(dict.fromkeys(few))


def grouped(words: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the sets that each verdict is about, without the verdict over all sets."""
    found: dict[str, list[str]] = {}
    for name, said in words.items():
        if name != OVERALL:
            found.setdefault(said, []).append(name)
    return found


def first_lines(report: AuditReport) -> Iterator[str]:
    """Yield what comes before all figures: the labels whose mean prefers worse responses."""
    for label in report.labels:
        if worse := preferring_worse(report, label.name):
            yield f"{label.name}: {worse}"


def origin(report: AuditReport) -> str:
    """Return one line that says with what was measured."""
    found = report.fingerprint
    pools = {f"; rewards pooled over each {one.pool} ({one.pool_by})" for one in report.labels if one.pool is not None}
    return (
        f"{found.model}, engine {found.engine} {found.engine_version} in {found.dtype}; {report.responses} responses,"
        f" {report.tokens} tokens; 95% intervals from {report.resamples} resamples of responses{''.join(pools)}"
    )


def left_out(report: AuditReport) -> Iterator[str]:
    """Yield a line for each reason why a model cannot serve labels, with the labels that were asked for by name.

    Then one for each kind of sets that lack context fields: which labels were not measured on them, and why.
    """
    for reason in dict.fromkeys(report.unfit.values()):
        yield f"left out: {', '.join(name for name, own in report.unfit.items() if own == reason)}: {reason}"
    by_set: dict[str, dict[str, str]] = {}
    for one in report.left_out:
        by_set.setdefault(one.set, {})[one.label] = one.reason
    sets: dict[str, list[str]] = {}
    for name, reasons in by_set.items():
        words = ", ".join(f"{label} ({reason})" for label, reason in reasons.items())
        sets.setdefault(words, []).append(name)
    for words, names in sets.items():
        yield f"{', '.join(names)}: left out for want of a context field: {words}"


def _findings(
    counted: SpanReport | Overall, found: SpanFigures | Overall, controls: Controls | Overall, label: Label
) -> Findings:
    """Return what a verdict is made from: on one set, or over all of them."""
    return Findings(
        wrong=counted.wrong,
        right=counted.right,
        auroc=found.auroc.interval,
        stratified=found.stratified.interval,
        gains={base: gain.interval for base, gain in controls.gains.items()},
        controlled={
            "the same place": controls.same_place.interval,
            "the same step": controls.same_step.interval,
            "the same place of the same task": controls.same_task.interval,
            "words that the shown text repeats alike": controls.same_shown.interval,
        },
        place_gain=controls.place_gain.interval,
        asks_model=label.asks_model,
    )


def _pairs_of(report: AuditReport, label: str) -> dict[str, tuple[PairFigures, int]]:
    """Return a label's figures by set of pairs, and over all of them, with the number of pairs."""
    found = {one.name: (one.figures[label], one.pairs) for one in report.pairs if label in one.figures}
    if label in report.overall_pairs and found:
        found[OVERALL] = (report.overall_pairs[label], min(pairs for _, pairs in found.values()))
    return found
