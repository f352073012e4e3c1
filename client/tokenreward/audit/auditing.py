"""The audit itself: it scores all sets, measures every label on each, and returns one report."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence

from tokenreward.audit.examples import Judged, pick
from tokenreward.audit.fitting import LeftOut, fitting
from tokenreward.audit.overall import overall_pairs, overall_spans
from tokenreward.audit.pair_report import pair_report
from tokenreward.audit.plan import Label
from tokenreward.audit.report import AuditReport, Failure
from tokenreward.audit.score_store import ScoreStore
from tokenreward.audit.scoring import score
from tokenreward.audit.sets import AuditSet, SpanSet
from tokenreward.audit.span_report import judged_items, span_report
from tokenreward.dataset.progress import Progress
from tokenreward.errors import BadInput
from tokenreward.http import Client
from tokenreward.schema import ModelInfo
from tokenreward.statistics import bootstrap


def audit(
    client: Client,
    sets: Sequence[AuditSet],
    labels: Sequence[Label],
    *,
    model: ModelInfo,
    progress: Progress,
    store: ScoreStore | None = None,
    named: Collection[str] = (),
    seed: int = 0,
    resamples: int = bootstrap.RESAMPLES,
) -> AuditReport:
    """Score every response of `sets` under every branch of the labels that its set has the context fields for.

    Args:
        client: A client of the service.
        sets: What is audited.
        labels: The labels to be measured.
        model: The model whose labels and baselines are measured.
        progress: Is told of every response.
        store: What was scored before, and where results are kept.
        named: The estimators that were asked for by name. The report says which of them the model cannot serve.
        seed: Of the resamples and of the random baseline.
        resamples: How many resamples the intervals are from.

    Raises:
        BadInput: A set leaves nothing to measure, or no set has the context fields of any label.
        ConnectionFailed: The service cannot be reached.
        JobFailed: A job was cancelled.
    """
    started = time.monotonic()
    served, unfit = _served(labels, model)
    kept, left_out = _fitted(sets, served)
    wanted = [(response, kept[_place(one)]) for one in sets for item in one.items for response in item.responses]
    scores = score(client, wanted, model, progress, store)
    scored = time.monotonic()
    failures: list[Failure] = []
    span_reports, pair_reports = [], []
    judged_by_set: dict[str, list[Judged]] = {}
    for found in sets:
        if isinstance(found, SpanSet):
            usable = judged_by_set[found.name] = list(judged_items(found, scores, failures))
            span_reports.append(span_report(found.name, usable, kept[_place(found)], seed, resamples))
        else:
            pair_reports.append(pair_report(found, scores, kept[_place(found)], failures, seed, resamples))
    measured = [label for label in served if any(label in found for found in kept.values())]
    examples = {label.name: pick(label, span_reports, judged_by_set) for label in measured}
    # One response may be there several times, with and without context fields.
    known = {key[:2]: one for key, one in scores.by_key.items() if one.error is None}.values()
    return AuditReport(
        labels=measured,
        left_out=left_out,
        unfit={one.name: unfit[one.name] for one in labels if one.name in unfit and one.estimator.name in named},
        fingerprint=scores.fingerprint,
        spans=span_reports,
        pairs=pair_reports,
        overall=overall_spans(span_reports),
        overall_pairs=overall_pairs(pair_reports),
        failures=failures,
        examples=examples,
        responses=len(known),
        tokens=sum(len(one.token_ids) for one in known),
        scoring_seconds=scored - started,
        statistics_seconds=time.monotonic() - scored,
        resamples=resamples,
        seed=seed,
    )


def _served(labels: Sequence[Label], model: ModelInfo) -> tuple[list[Label], dict[str, str]]:
    """Return the labels whose estimator the model can serve, and why not for the others, by their names.

    Those of trained labelers were chosen by their model.
    """
    own = [label for label in labels if label.model is None]
    reasons = {label.name: label.estimator.unfit_model(model.fingerprint) for label in own}
    unfit = {name: reason for name, reason in reasons.items() if reason is not None}
    found = [label for label in labels if label.name not in unfit]
    if not found:
        raise BadInput("; ".join(dict.fromkeys(unfit.values())))
    return found, unfit


def _fitted(
    sets: Sequence[AuditSet], labels: Sequence[Label]
) -> tuple[dict[tuple[str, type], list[Label]], list[LeftOut]]:
    """Return the labels that are measured on each set, and those that are not."""
    kept, left_out = {}, []
    for found in sets:
        kept[_place(found)], missing = fitting(found, labels)
        left_out += missing
    if not any(kept.values()):
        reasons = "; ".join(f"{one.label} needs the context field {one.reason}" for one in left_out)
        raise BadInput(f"nothing to measure, as the items lack context fields: {reasons}")
    return kept, left_out


def _place(found: AuditSet) -> tuple[str, type]:
    """Return what tells sets apart: a set of spans and one of pairs may have the same name."""
    return found.name, type(found)
