"""The report of one audit: what was measured, with which labels, on which sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tokenreward.audit.examples import Example
from tokenreward.audit.measures.pairs import PairFigures, PairReport
from tokenreward.audit.measures.spans import SpanReport
from tokenreward.audit.plan import Label
from tokenreward.schema import Fingerprint
from tokenreward.statistics.bootstrap import Sampled

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
