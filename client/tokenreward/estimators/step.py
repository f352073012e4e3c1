"""How well a whole step sits with the model: the mean of z over the step, or over the sentence. It is ours.

    d_t = mean of z over the step of t - c - bias,  c = (k c_0 + sum of z before the step) / (k + tokens before it)
    r_t = sigmoid(s d_t) - 1/2

z is that of `z_word`. A wrong step seldom has one wrong word: its reasoning is off, and all of its tokens are a little
less likely. A step is a block between empty lines, or a line; where the response is a single line, its sentences are
taken. c is the mean of z before the step, with k tokens of the usual value c_0 before the first one.
"""

from __future__ import annotations

import numpy as np

from tokenreward.estimators.base import Difference, Estimator, Evidence
from tokenreward.estimators.parameters import Parameter, Parameters
from tokenreward.estimators.word_minimum import scaled
from tokenreward.estimators.z_word import normalised
from tokenreward.segments import segments_of, tokens_by_segment


def _difference(evidence: Evidence, parameters: Parameters) -> Difference:
    z = normalised(evidence)
    steps = segments_of(evidence.text, "step")
    if len(steps) < 2:
        steps = segments_of(evidence.text, "sentence")
    before = np.concatenate([[0.0], np.cumsum(z)])
    prior, usual = parameters["prior"], parameters["usual"]

    def set_off(value: float, first: int) -> float:
        return value - float(prior * usual + before[first]) / (prior + first) - parameters["bias"]

    difference = np.array([set_off(value, place) for place, value in enumerate(z)])  # of tokens of no step
    for tokens in tokens_by_segment(evidence.offsets, steps, evidence.text):
        if tokens:
            difference[tokens] = set_off(float(z[tokens].mean()), tokens[0])
    return difference


STEP = Estimator(
    name="step",
    branches=("plain",),
    formula="z = (logp + H) / sqrt(V + 1/4); d = mean of z over the step - (prior usual + sum of z before it) / (prior "
    "+ tokens before it) - bias; sigmoid(scale d) - 1/2",
    difference=_difference,
    transform=scaled,
    template="plain",
    source="ours; found on development data (docs/label-quality.md)",
    parameters={
        "prior": Parameter(20.0, 0.1, 1e6, "how many tokens of the usual value stand before a response"),
        "usual": Parameter(-0.3, -100.0, 100.0, "that usual value"),
        "bias": Parameter(0.0, -100.0, 100.0, "the difference that gets reward 0"),
        "scale": Parameter(1.0, 1e-3, 100.0, "what a difference is multiplied by"),
    },
    moments=True,
    text=True,
)
