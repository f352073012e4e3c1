"""An estimator as the service lists it."""

from __future__ import annotations

from tokenreward.schema.wire import AnswerModel


class EstimatorInfo(AnswerModel):
    """An estimator that the service knows.

    Attributes:
        name: The name that clients ask for.
        branches: The branches that a template must have for it.
        formula: How log-probs become rewards.
        hash: The estimator's hash.
    """

    name: str
    branches: list[str]
    formula: str
    hash: str
