"""The report of one audit: what was measured, with which labels, on which sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tokenreward.audit.examples import Example
from tokenreward.audit.fitting import LeftOut
from tokenreward.audit.measures.judged_tokens import SURPRISAL
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
        same_place: The mean AUROC among tokens at the same place.
        same_step: The same among tokens of the same step, over the sets that have steps.
        same_task: The same among tokens at the same place of the same task, over the sets that have several tasks.
        same_shown: The same among tokens that repeat a shown text alike, over the sets that show one.
        gains: The mean gain over each baseline.
        place_gain: The mean gain over surprisal at the same place.
        wrong: The responses with errors of the set that has fewest.
        right: The responses with something right of the set that has fewest.
        sets: How many sets have the label: those whose items have its context fields.
    """

    auroc: Sampled
    stratified: Sampled
    same_place: Sampled
    same_step: Sampled
    same_task: Sampled
    same_shown: Sampled
    gains: Mapping[str, Sampled]
    place_gain: Sampled
    wrong: int
    right: int
    sets: int

    @property
    def gain(self) -> Sampled:
        """The mean gain over surprisal."""
        return self.gains[SURPRISAL]


@dataclass(frozen=True)
class AuditReport:
    """One audit.

    Attributes:
        labels: The labels that were measured on some set.
        left_out: The labels that were not measured on a set, for lack of context fields.
        unfit: Why labels whose estimators were asked for by name were measured nowhere, by their names: the model
            cannot serve them.
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
    unfit: Mapping[str, str]
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
