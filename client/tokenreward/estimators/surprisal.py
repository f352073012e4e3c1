"""Surprisal, the control: likely tokens are positive and unlikely ones negative.

r_t = sigmoid(l_t - c) - 1/2,  l_t = log p(y_t | x, y_<t)

It knows nothing of quality that the model itself does not, so a label that does no better than this has shown nothing.
A data set's own mean is the natural centre c; the default is the usual 2 nats a token.
"""

from __future__ import annotations

from tokenreward.estimators.base import Difference, Estimator, Evidence
from tokenreward.estimators.parameters import Parameter, Parameters


def _difference(evidence: Evidence, parameters: Parameters) -> Difference:
    plain = evidence.logprobs["plain"]
    return plain - plain.dtype.type(parameters["centre"])


SURPRISAL = Estimator(
    name="surprisal",
    branches=("plain",),
    formula="sigmoid(logp_plain - centre) - 1/2",
    difference=_difference,
    template="plain",
    source="the control of label audits; no paper's label",
    parameters={"centre": Parameter(-2.0, -20.0, 0.0, "the log-prob that gets reward 0, in nats")},
)
