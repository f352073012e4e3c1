"""The audit itself: it scores all sets, measures every label on each, and returns one report."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from tokenreward.audit.examples import Judged, pick
from tokenreward.audit.measures import pairs
from tokenreward.audit.measures.pairs import PairFigures, PairReport
from tokenreward.audit.measures.spans import SpanReport
from tokenreward.audit.pair_report import pair_report
from tokenreward.audit.plan import Label
from tokenreward.audit.report import AuditReport, Failure, Overall
from tokenreward.audit.scored import Response
from tokenreward.audit.scoring import score
from tokenreward.audit.sets import AuditSet, SpanItem, SpanSet
from tokenreward.audit.span_report import judged_items, span_report
from tokenreward.dataset.progress import Progress
from tokenreward.http import Client
from tokenreward.statistics import bootstrap


def audit(
    client: Client,
    sets: Sequence[AuditSet],
    labels: Sequence[Label],
    *,
    model: str | None,
    progress: Progress,
    seed: int = 0,
    resamples: int = bootstrap.RESAMPLES,
) -> AuditReport:
    """Score every response of `sets` under every branch of `labels`, and measure.

    Args:
        client: A client of the service.
        sets: What is audited.
        labels: The labels to be measured.
        model: The model to ask for, or None.
        progress: Is told of every response.
        seed: Of the resamples and of the random baseline.
        resamples: How many resamples the intervals are from.

    Raises:
        BadInput: A set leaves nothing to measure.
        ConnectionFailed: The service cannot be reached.
        JobFailed: A job was cancelled.
    """
    started = time.monotonic()
    scores = score(client, [r for found in sets for r in _responses(found)], labels, model, progress)
    scored = time.monotonic()
    failures: list[Failure] = []
    span_reports, pair_reports = [], []
    judged_by_set: dict[str, list[Judged]] = {}
    for found in sets:
        if isinstance(found, SpanSet):
            usable = judged_by_set[found.name] = list(judged_items(found, scores, failures))
            span_reports.append(span_report(found.name, usable, labels, seed, resamples))
        else:
            pair_reports.append(pair_report(found, scores, labels, failures, seed, resamples))
    examples = {label.name: pick(label, span_reports, judged_by_set) for label in labels}
    known = [one for one in scores.by_key.values() if one.error is None]
    return AuditReport(
        labels=labels,
        fingerprint=scores.fingerprint,
        spans=span_reports,
        pairs=pair_reports,
        overall=_overall(span_reports),
        overall_pairs=_overall_pairs(pair_reports),
        failures=failures,
        examples=examples,
        responses=len(known),
        tokens=sum(len(one.token_ids) for one in known),
        scoring_seconds=scored - started,
        statistics_seconds=time.monotonic() - scored,
        resamples=resamples,
        seed=seed,
    )


def _responses(found: AuditSet) -> Iterator[Response]:
    for item in found.items:
        if isinstance(item, SpanItem):
            yield Response(item.prompt, item.response)
        else:
            yield Response(item.prompt, item.chosen)
            yield Response(item.prompt, item.rejected)


def _overall(reports: Sequence[SpanReport]) -> dict[str, Overall]:
    found = {}
    for name in reports[0].figures if reports else ():
        parts = [report.figures[name] for report in reports]
        found[name] = Overall(
            bootstrap.mean([part.auroc for part in parts]),
            bootstrap.mean([part.stratified for part in parts]),
            bootstrap.mean([part.gain for part in parts]),
        )
    return found


def _overall_pairs(reports: Sequence[PairReport]) -> dict[str, PairFigures]:
    names = reports[0].figures if reports else ()
    return {name: pairs.overall([report.figures[name] for report in reports]) for name in names}
