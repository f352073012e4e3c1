"""From a scorer's specification to the scorer, or to what identifies it.

Specifications are `verify`, `final_number:answer`, `constraints`, `reward_model:DIRECTORY`, `function:module:name`, or
an http(s) address.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tokenreward.errors import UnknownName
from tokenreward_trainer.scorers.base import Scorer


def _verify(_: str) -> Scorer:
    from tokenreward_trainer.scorers.verify import Verify

    return Verify()


def _final_number(column: str) -> Scorer:
    from tokenreward_trainer.scorers.final_number import FinalNumber

    return FinalNumber(column or "answer")


def _constraints(column: str) -> Scorer:
    from tokenreward_trainer.scorers.constraints import Constraints

    return Constraints(column or "constraints")


def _reward_model(name: str) -> Scorer:
    from tokenreward_trainer.scorers.reward_model import RewardModel

    return RewardModel(name)


def _function(where: str) -> Scorer:
    from tokenreward_trainer.scorers.function import Function

    return Function(where)


#: name -> (what makes it from the text behind `name:`, how it is written)
SCORERS: dict[str, tuple[Callable[[str], Scorer], str]] = {
    "verify": (_verify, "verify: by the check that generated prompts carry"),
    "final_number": (_final_number, "final_number[:COLUMN]: the last number is that of the column (answer)"),
    "constraints": (_constraints, "constraints[:COLUMN]: the share of the column's constraints that is kept"),
    "reward_model": (_reward_model, "reward_model:NAME: a sequence-classification model's one logit"),
    "function": (_function, "function:MODULE:NAME: a reward function as TRL's"),
}


def identity_of(specification: str) -> dict[str, Any]:
    """Returns the identity of `scorer_of(specification)` without loading a reward model's weights."""
    name, _, rest = specification.partition(":")
    if name == "reward_model":
        from tokenreward_trainer.scorers import reward_model

        return reward_model.identity_of(rest)
    return scorer_of(specification).identity


def scorer_of(specification: str) -> Scorer:
    """Makes a scorer.

    Raises:
        UnknownName: There is no scorer of that name.
        BadInput: It cannot be used.
    """
    if specification.startswith(("http://", "https://")):
        from tokenreward_trainer.scorers.endpoint import Endpoint

        return Endpoint(specification)
    name, _, rest = specification.partition(":")
    if name not in SCORERS:
        raise UnknownName("scorer", name, [*SCORERS, "http://...", "https://..."])
    return SCORERS[name][0](rest)
