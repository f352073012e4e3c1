"""How likely a whole step is: the mean over the step of its words' least log-probs. It is ours.

    d_t = mean of m over the step of t - c
    r_t = sigmoid(s d_t) - 1/2

m is the least log-prob of a word (`word_minimum`). A wrong step seldom has one wrong word: its reasoning is off, and
all of it is a little less likely. A step is a block between empty lines, or a line; where the response is a single
line, its sentences are taken. Steps are compared with all others, not with those before them, which would cost what it
finds; so good tokens' rewards do drift along responses to which the model warms. With the demo model it finds a little
of hallucinated spans, and nothing of wrong reasoning (docs/label-quality.md).
"""

from __future__ import annotations

from tokenreward.estimators.base import Difference, Estimator, Evidence
from tokenreward.estimators.parameters import Parameters
from tokenreward.estimators.word_minimum import reward_parameters, scaled, word_minimum
from tokenreward.segments import pooled, segment_values, segments_of, tokens_by_segment


def _difference(evidence: Evidence, parameters: Parameters) -> Difference:
    minima = word_minimum(evidence, evidence.logprobs["plain"])
    steps = segments_of(evidence.text, "step")
    if len(steps) < 2:
        steps = segments_of(evidence.text, "sentence")
    tokens = tokens_by_segment(evidence.offsets, steps, evidence.text)
    return pooled(minima, tokens, segment_values(minima, tokens, "mean", None)) - parameters["centre"]


STEP = Estimator(
    name="step",
    branches=("plain",),
    formula="m = min of logp over the word; d = mean of m over the step or sentence - centre; sigmoid(scale d) - 1/2",
    difference=_difference,
    transform=scaled,
    template="plain",
    source="ours; found on development data (docs/label-quality.md)",
    parameters=reward_parameters(centre=-1.7, scale=1.0),
    text=True,
)
