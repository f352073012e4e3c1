"""What the model would have said had it known more: SDPO's token form (arXiv 2601.20802), also OPSD and SDFT.

d_t = log p(y_t | x, privilege, y_<t) - log p(y_t | x, y_<t)
r_t = sigmoid(d_t) - 1/2

The privilege is a reference solution (template `reference`) or feedback (template `feedback`). The papers use d_t as an
advantage per token, and their best form needs the teacher's most likely tokens as well.
"""

from __future__ import annotations

from tokenreward.estimators.base import Difference, Estimator, Evidence
from tokenreward.estimators.parameters import Parameters


def _difference(evidence: Evidence, parameters: Parameters) -> Difference:
    return evidence.logprobs["privileged"] - evidence.logprobs["plain"]


PRIVILEGED = Estimator(
    name="privileged",
    branches=("privileged", "plain"),
    formula="sigmoid(logp_privileged - logp_plain) - 1/2",
    difference=_difference,
    template="reference",
    source="SDPO's token form, arXiv 2601.20802",
)
