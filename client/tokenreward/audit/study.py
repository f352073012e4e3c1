"""The audit itself: sets and labels in, scored responses between, one report out."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tokenreward.audit.examples import Example, Judged, pick
from tokenreward.audit.measures import pairs, spans
from tokenreward.audit.measures.pairs import Margins, PairFigures, PairReport
from tokenreward.audit.measures.ranks import Floats
from tokenreward.audit.measures.spans import SURPRISAL, SpanReport
from tokenreward.audit.plan import Label
from tokenreward.audit.scoring import Response, Scored, Scores, score
from tokenreward.audit.sets import AuditSet, PairItem, PairSet, SpanItem, SpanSet
from tokenreward.audit.tokens import LEFT_OUT, judged, unseen
from tokenreward.dataset.progress import Progress
from tokenreward.errors import BadInput
from tokenreward.http import Client
from tokenreward.schema import Fingerprint
from tokenreward.statistics import bootstrap
from tokenreward.statistics.bootstrap import Resamples, Sampled

#: What the mean over several sets is called, where a set's name could stand.
OVERALL = "overall"


@dataclass(frozen=True)
class Failure:
    """A response that could not be scored; no statistic counts it."""

    set: str
    id: str
    reason: str


@dataclass(frozen=True)
class Overall:
    """One label over all sets of responses with known errors, each set counted alike."""

    auroc: Sampled
    stratified: Sampled
    gain: Sampled


@dataclass(frozen=True)
class AuditReport:
    """One audit.

    overall, overall_pairs: by label, baselines too; empty without sets of that kind.  examples: by label.
    responses, tokens: scored, each once.
    """

    labels: Sequence[Label]
    fingerprint: Fingerprint
    spans: Sequence[SpanReport]
    pairs: Sequence[PairReport]
    overall: Mapping[str, Overall]
    overall_pairs: Mapping[str, PairFigures]
    failures: Sequence[Failure]
    examples: Mapping[str, Sequence[Example]]
    responses: int
    tokens: int
    scoring_seconds: float
    statistics_seconds: float
    resamples: int
    seed: int


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
    """Scores every response of `sets` under every branch of `labels`, and measures. Raises as the client does, and
    BadInput if a set leaves nothing to measure."""
    started = time.monotonic()
    scores = score(client, [r for found in sets for r in _responses(found)], labels, model, progress)
    scored = time.monotonic()
    failures: list[Failure] = []
    span_reports, pair_reports = [], []
    judged_by_set: dict[str, list[Judged]] = {}
    for found in sets:
        if isinstance(found, SpanSet):
            usable = judged_by_set[found.name] = list(_usable(found, scores, failures))
            span_reports.append(_span_report(found.name, usable, labels, seed, resamples))
        else:
            pair_reports.append(_pair_report(found, scores, labels, failures, seed, resamples))
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


def _usable(found: SpanSet, scores: Scores, failures: list[Failure]) -> Iterator[Judged]:
    for item in found.items:
        scored = scores.of(Response(item.prompt, item.response))
        if scored.error is not None:
            failures.append(Failure(found.name, item.id, scored.error))
        else:
            yield Judged(item, scored, judged(scored.offsets, item.bad, item.ignore))


def _span_report(name: str, items: Sequence[Judged], labels: Sequence[Label], seed: int, resamples: int) -> SpanReport:
    if not items:
        raise BadInput(f"{name}: none of its responses could be scored")
    tokens = spans.collect([one.tokens for one in items], [one.scored.plain for one in items])
    if tokens.bad.all() or not tokens.bad.any():
        missing = "good" if tokens.bad.any() else "bad"
        raise BadInput(f"{name}: no token of it is {missing}, so there is nothing to tell apart")
    rewards = spans.baselines(tokens, name, seed)
    for label in labels:
        every = [one.scored.rewards(label)[one.tokens != LEFT_OUT] for one in items]
        rewards[label.name] = np.concatenate(every).astype(np.float64)
    figures = spans.measure(tokens, rewards, Resamples(name, len(items), seed, resamples))
    return SpanReport(
        name=name,
        responses=len(items),
        tokens=len(tokens.bad),
        bad_tokens=int(tokens.bad.sum()),
        left_out=sum(int((one.tokens == LEFT_OUT).sum()) for one in items),
        unseen=sum(unseen(one.scored.offsets, one.item.bad) for one in items),
        figures=figures,
    )


def _pair_report(
    found: PairSet, scores: Scores, labels: Sequence[Label], failures: list[Failure], seed: int, resamples: int
) -> PairReport:
    both = []
    for item in found.items:
        sides = _sides(item, scores)
        if error := next((side.error for side in sides if side.error is not None), None):
            failures.append(Failure(found.name, item.id, error))
        else:
            both.append(sides)
    if not both:
        raise BadInput(f"{found.name}: none of its pairs could be scored")
    longer = np.array([len(chosen.token_ids) - len(rejected.token_ids) for chosen, rejected in both], dtype=np.float64)
    centre = float(np.concatenate([side.plain for sides in both for side in sides]).mean())
    margins = {SURPRISAL: _margins([[np.tanh((side.plain - centre) / 2) / 2 for side in sides] for sides in both])}
    margins |= pairs.baselines(longer, found.name, seed)
    for label in labels:
        margins[label.name] = _margins([[side.rewards(label).astype(np.float64) for side in sides] for sides in both])
    figures = pairs.measure(longer, margins, SURPRISAL, Resamples(found.name, len(both), seed, resamples))
    return PairReport(found.name, len(both), float((longer > 0).mean() + 0.5 * (longer == 0).mean()), figures)


def _sides(item: PairItem, scores: Scores) -> tuple[Scored, Scored]:
    return scores.of(Response(item.prompt, item.chosen)), scores.of(Response(item.prompt, item.rejected))


def _margins(rewards: Sequence[Sequence[Floats]]) -> Margins:
    """rewards: of every pair, those of the chosen and of the rejected response's tokens."""
    total = np.array([chosen.sum() - rejected.sum() for chosen, rejected in rewards])
    mean = np.array([chosen.mean() - rejected.mean() for chosen, rejected in rewards])
    return Margins(total, mean)


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
