"""An estimator as the service lists it."""

from __future__ import annotations

from pydantic import Field

from tokenreward.schema.wire import AnswerModel


class ParameterInfo(AnswerModel):
    """One parameter of an estimator.

    Attributes:
        default: Its value where a request says nothing.
        least: Its smallest value.
        most: Its largest value.
        meaning: What it does.
        whole: Whether it must be a whole number.
    """

    default: float
    least: float
    most: float
    meaning: str
    whole: bool = False


class EstimatorInfo(AnswerModel):
    """An estimator that the service knows.

    Attributes:
        name: The name that clients ask for.
        branches: The branches that a template must have for it.
        formula: How log-probs become rewards.
        hash: The estimator's hash, with its default parameters.
        template: The template that is taken where a request names none.
        source: Where the formula comes from.
        parameters: What `parameters` may set.
        repeated: Branches that may be repeated over a list field.
        fields: Context fields that it reads itself; at least one of them must be given.
        moments: Whether it reads the moments of the predictions, which a remote engine does not have.
        unbounded: Whether rewards may lie outside [-0.5, 0.5].
    """

    name: str
    branches: list[str]
    formula: str
    hash: str
    template: str = ""
    source: str = ""
    parameters: dict[str, ParameterInfo] = Field(default={})
    repeated: list[str] = Field(default=[])
    fields: list[str] = Field(default=[])
    moments: bool = False
    unbounded: bool = False
