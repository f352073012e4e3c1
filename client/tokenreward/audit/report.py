"""The report of one audit: what was measured, with which labels, on which sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tokenreward.audit.examples import Example
from tokenreward.audit.fitting import LeftOut
from tokenreward.audit.measures.pairs import PairFigures, PairReport
from tokenreward.audit.measures.spans import SpanReport
from tokenreward.audit.plan import Label
from tokenreward.schema import Fingerprint
from tokenreward.statistics.bootstrap import Sampled

#: The name of the mean over several sets, where a set's name could stand.
OVERALL = "overall"


@dataclass(frozen=True)
class Failure:
    """A response or pair that could not be scored. No statistic counts it.

    Attributes:
        set: The set it is from.
        id: Its name.
        reason: Why.
    """

    set: str
    id: str
    reason: str


@dataclass(frozen=True)
class Overall:
    """One label over all sets of responses with known errors that have it, each set counted alike.

    Attributes:
        auroc: The mean AUROC.
        stratified: The mean stratified AUROC.
        gain: The mean gain over surprisal.
        sets: How many sets have the label: those whose items have its context fields.
    """

    auroc: Sampled
    stratified: Sampled
    gain: Sampled
    sets: int


@dataclass(frozen=True)
class AuditReport:
    """One audit.

    Attributes:
        labels: The labels that were measured on some set.
        left_out: The labels that were not measured on a set, for lack of context fields.
        fingerprint: The set-up that scored.
        spans: The sets of responses with known errors.
        pairs: The sets of pairs.
        overall: Each label over all sets of spans, baselines too. Empty without such sets.
        overall_pairs: Each label over all sets of pairs, baselines too. Empty without such sets.
        failures: What could not be scored.
        examples: The examples of each label.
        responses: How many responses were scored, each counted once.
        tokens: Their tokens.
        scoring_seconds: How long the scoring took.
        statistics_seconds: How long the statistics took.
        resamples: How many resamples the intervals are from.
        seed: The seed of the resamples and of the random baseline.
    """

    labels: Sequence[Label]
    left_out: Sequence[LeftOut]
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
