"""An audit as JSON: every figure with its interval, and what it was measured with."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from tokenreward.audit.measures.pairs import PairFigures
from tokenreward.audit.measures.spans import SpanFigures, SpanReport
from tokenreward.audit.output.verdict_lines import judgements, pair_verdicts, verdicts, without_verdict
from tokenreward.audit.report import OVERALL, AuditReport, Overall
from tokenreward.statistics.bootstrap import Sampled

#: {set: {label: [value, low, high]}}
Figures = dict[str, dict[str, list[float]]]


def figures(report: AuditReport) -> dict[str, Any]:
    """Return the short form, for comparing.

    Returns:
        {statistic: {set: {label: [value, low, high]}}}, and a verdict for every label.
    """
    return _cleaned(
        {
            "auroc": _spans(report, "auroc") | _overall(report, "auroc"),
            "stratified": _spans(report, "stratified") | _overall(report, "stratified"),
            "gain_over_surprisal": _spans(report, "gain") | _overall(report, "gain"),
            "same_place": _controls(report, "same_place") | _overall(report, "same_place"),
            "same_step": _controls(report, "same_step") | _overall(report, "same_step"),
            "same_task": _controls(report, "same_task") | _overall(report, "same_task"),
            "same_kind": _controls(report, "same_kind"),
            "same_shown": _controls(report, "same_shown"),
            "drift": _values(report, lambda one: one.controls.drift.value),
            "drift_interval": _controls(report, "drift"),
            "content_less_style": _values(report, lambda one: one.controls.content),
            "gains": _gains(report),
            "per_response": _spans(report, "per_response"),
            "average_precision": _spans(report, "average_precision"),
            "pairs": _pairs(report, "mean"),
            "pairs_by_sum": _pairs(report, "total"),
            "pairs_length_controlled": _pairs(report, "mean_controlled"),
            "pairs_by_sum_length_controlled": _pairs(report, "total_controlled"),
            "verdicts": {label.name: verdicts(report, label) for label in report.labels},
            "advice": {
                label.name: {name: one.advice.value for name, one in judgements(report, label).items()}
                for label in report.labels
            },
            "pair_verdicts": {label.name: pair_verdicts(report, label) for label in report.labels},
            "too_few": without_verdict(report),
            "left_out": _left_out(report),
            "audited": {one.name: one.responses for one in report.spans},
            "audited_pairs": {one.name: one.pairs for one in report.pairs},
            "responses": report.responses,
            "tokens": report.tokens,
            "failed": len(report.failures),
            "seconds": round(report.scoring_seconds + report.statistics_seconds, 1),
        }
    )


def full(report: AuditReport) -> dict[str, Any]:
    """Return everything, calibration and provenance included. It holds no text of any response."""
    return _cleaned(
        {
            "provenance": {
                "fingerprint": report.fingerprint.model_dump(),
                "fingerprint_digest": report.fingerprint.digest,
                "labels": {
                    label.name: {
                        "template": label.template.name,
                        "template_hash": label.template.hash,
                        "estimator": label.estimator.name,
                        "estimator_hash": label.estimator.hash,
                        "formula": label.estimator.formula,
                        "pool": label.pool and f"{label.pool}:{label.pool_by}",
                        "labeler": label.model,
                    }
                    for label in report.labels
                },
                "resamples": report.resamples,
                "seed": report.seed,
            },
            "figures": figures(report),
            "spans": {one.name: _span_report(one) for one in report.spans},
            "pairs": {one.name: {"pairs": one.pairs, "chosen_longer": one.longer} for one in report.pairs},
            "failures": [asdict(failure) for failure in report.failures],
        }
    )


def _left_out(report: AuditReport) -> dict[str, dict[str, str]]:
    names = [one.name for one in report.spans] + [one.name for one in report.pairs]
    found = {name: dict(report.unfit) for name in names} if report.unfit else {}
    for one in report.left_out:
        found.setdefault(one.set, {})[one.label] = one.reason
    return found


def _spans(report: AuditReport, field: str) -> Figures:
    return {
        one.name: {label: _triple(figures, field) for label, figures in one.figures.items()} for one in report.spans
    }


def _controls(report: AuditReport, field: str) -> Figures:
    return {
        one.name: {label: getattr(found.controls, field).interval.triple() for label, found in one.figures.items()}
        for one in report.spans
    }


def _values(report: AuditReport, value: Callable[[SpanFigures], float]) -> dict[str, dict[str, float]]:
    return {one.name: {label: value(found) for label, found in one.figures.items()} for one in report.spans}


def _gains(report: AuditReport) -> dict[str, dict[str, dict[str, list[float]]]]:
    """{set: {label: {baseline: [value, low, high]}}}"""
    return {
        one.name: {
            label: {base: gain.interval.triple() for base, gain in found.controls.gains.items()}
            for label, found in one.figures.items()
        }
        for one in report.spans
    }


def _overall(report: AuditReport, field: str) -> Figures:
    return {OVERALL: {label: _triple(one, field) for label, one in report.overall.items()}} if report.overall else {}


def _pairs(report: AuditReport, field: str) -> Figures:
    every = {one.name: one.figures for one in report.pairs} | ({OVERALL: report.overall_pairs} if report.pairs else {})
    return {name: {label: _triple(one, field) for label, one in figures.items()} for name, figures in every.items()}


def _triple(figures: SpanFigures | PairFigures | Overall, field: str) -> list[float]:
    sampled: Sampled = getattr(figures, field)
    return sampled.interval.triple()


def _span_report(one: SpanReport) -> dict[str, Any]:
    return {
        "responses": one.responses,
        "responses_with_errors": one.wrong,
        "tokens": one.tokens,
        "bad_tokens": one.bad_tokens,
        "left_out_tokens": one.left_out,
        "unseen_spans": one.unseen,
        "labels": {
            label: {
                "sign_accuracy": figures.sign_accuracy,
                "mean_inside": figures.inside,
                "mean_outside": figures.outside,
                "by_reward": [asdict(group) for group in figures.by_reward],
                "by_place": [asdict(group) for group in figures.by_place],
                "by_length": [asdict(group) for group in figures.by_length],
                "by_kind": [asdict(group) for group in figures.by_kind],
            }
            for label, figures in one.figures.items()
        },
    }


def _cleaned(figures: dict[str, Any]) -> dict[str, Any]:
    return {name: _clean(value) for name, value in figures.items()}


def _clean(value: Any) -> Any:
    """Round floats to six digits, and replace what is not defined by None: JSON has no NaN."""
    if isinstance(value, Mapping):
        return {name: _clean(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(part) for part in value]
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    return value
