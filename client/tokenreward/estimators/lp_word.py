"""How much less likely a word is than the words before it were. It is ours.

    r_t = sigmoid(s (n_t - c_t - c)) - 1/2, where n comes from log p as `word_minimum` says
    c_t = (k c_0 + sum_{s<t} m_s) / (k + t)

It is `z_word` with the log-prob itself for z. It needs no moments, so every engine has it, and every endpoint that
gives the log-probs of a prompt. A log-prob has no expectation of its own to be compared with: responses have levels of
their own, and a model warms to a text. So c_t, the mean of the tokens before t with k tokens of the usual value c_0
before the first one, takes that place. It looks back only: an error never lifts the tokens before it. Under a template
whose `plain` branch shows a solution, log-probs under that solution are read.
"""

from __future__ import annotations

import numpy as np

from tokenreward.estimators.base import Difference, Estimator, Evidence
from tokenreward.estimators.parameters import Parameter, Parameters
from tokenreward.estimators.word_minimum import (
    neighbour_parameters,
    reward_parameters,
    scaled,
    with_neighbours,
    word_minimum,
)


def _difference(evidence: Evidence, parameters: Parameters) -> Difference:
    minima = word_minimum(evidence, evidence.logprobs["plain"])
    before = np.concatenate([[0.0], np.cumsum(minima)[:-1]])
    prior = parameters["prior"]
    level = (prior * parameters["usual"] + before) / (prior + np.arange(len(minima)))
    difference: Difference = with_neighbours(minima, parameters) - level - parameters["centre"]
    return difference


LP_WORD = Estimator(
    name="lp_word",
    branches=("plain",),
    formula="m = min of logp over the word; n = (m + weight G_{before,after}(m)) / (1 + weight); sigmoid(scale (n - "
    "(prior usual + sum_{s<t} m_s) / (prior + t) - centre)) - 1/2",
    difference=_difference,
    transform=scaled,
    template="plain",
    source="ours; found on development data (docs/label-quality.md)",
    parameters={
        **neighbour_parameters(),
        "prior": Parameter(5.0, 0.1, 1e6, "how many tokens of the usual log-prob stand before a response"),
        "usual": Parameter(-2.2, -100.0, 0.0, "that usual log-prob"),
        **reward_parameters(centre=0.6, scale=0.5),
    },
    text=True,
)
