"""How much less likely a word is than the words before it were. It is ours.

    r_t = sigmoid(s d_t) - 1/2, where d comes from log p as `word_minimum` says

It is `z_word` with the log-prob itself for z. It needs no moments, so every engine has it, and every endpoint that
gives the log-probs of a prompt. Under a template whose `plain` branch shows a solution, it reads the log-probs under
that solution.
"""

from __future__ import annotations

from tokenreward.estimators.base import Difference, Estimator, Evidence
from tokenreward.estimators.parameters import Parameters
from tokenreward.estimators.word_minimum import scaled, set_off, word_minimum, word_parameters


def _difference(evidence: Evidence, parameters: Parameters) -> Difference:
    return set_off(word_minimum(evidence, evidence.logprobs["plain"]), parameters)


LP_WORD = Estimator(
    name="lp_word",
    branches=("plain",),
    formula="m = min of logp over the word; n = (m + weight G_{before,after}(m)) / (1 + weight); d = n - (prior usual "
    "+ sum_{s<t} m_s) / (prior + t) - bias; sigmoid(scale d) - 1/2",
    difference=_difference,
    transform=scaled,
    template="plain",
    source="ours; found on development data (docs/label-quality.md)",
    parameters=word_parameters(usual=-2.2, bias=1.0, weight=0.5, scale=0.5),
    text=True,
)
