"""Ids that may stand at each position of a response, with their log-probs; and ids that the caller names."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, ConfigDict, Discriminator, Field, PlainSerializer, Tag, WithJsonSchema

from tokenreward.schema.wire import AnswerModel

#: The most ids at a position, whether the best ones or named ones.
MOST_CANDIDATES = 128


def _matrix(dtype: type[Any], value: Any) -> NDArray[Any]:
    """Read lists of numbers, all equally long, as an array: a result then has no Python object for each number."""
    try:
        found = np.asarray(value, dtype=dtype)
    except (ValueError, OverflowError, TypeError) as error:
        raise ValueError(f"not a list of equally long lists of numbers ({error})") from None
    if found.ndim != 2:
        raise ValueError("not a list of lists of numbers")
    return found


def _lists(array: NDArray[Any]) -> Any:
    return array.tolist()


def _schema(kind: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "array", "items": {"type": "array", "items": {"type": kind}}})


_Integers = Annotated[
    NDArray[np.int32], BeforeValidator(partial(_matrix, np.int32)), PlainSerializer(_lists), _schema("integer")
]
_Numbers = Annotated[
    NDArray[np.float32], BeforeValidator(partial(_matrix, np.float32)), PlainSerializer(_lists), _schema("number")
]


class TokenCandidates(AnswerModel):
    """Candidates for each token of a response under one branch.

    Attributes:
        ids: int32 `[T, K]`, an array; a list of lists in JSON.
        logprobs: float32 `[T, K]`, their log-probs.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    ids: _Integers
    logprobs: _Numbers

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TokenCandidates):
            return NotImplemented
        return np.array_equal(self.ids, other.ids) and np.array_equal(self.logprobs, other.logprobs)


class TokenMoments(AnswerModel):
    """Moments of each prediction of a response's tokens, under one branch.

    Attributes:
        entropy: float32 `[T]`, -E[log p] under the prediction p, in nats.
        variance: float32 `[T]`, the variance of log p under p.
    """

    entropy: list[float]
    variance: list[float]


_Id = Annotated[int, Field(ge=0, lt=2**31, strict=True)]
_Ids = Annotated[list[_Id], Field(min_length=1, max_length=MOST_CANDIDATES, fail_fast=True)]


def _form(value: Any) -> str:
    return "Each" if isinstance(value, list) and value and isinstance(value[0], list) else "Same"


#: Ids whose log-probs are wanted: one list for every position, or a list for each position.
NamedIds = Annotated[
    Annotated[_Ids, Tag("Same")] | Annotated[list[_Ids], Tag("Each"), Field(min_length=1, fail_fast=True)],
    Discriminator(_form),
]


def check_named_ids(named: Sequence[Any], tokens: int | None) -> None:
    """Raise ValueError unless the named ids fit a response.

    Args:
        named: One list of ids, or a list for each token.
        tokens: How many tokens the response has, if that is known.
    """
    if not isinstance(named[0], list):
        return
    odd = next((place for place, ids in enumerate(named) if len(ids) != len(named[0])), None)
    if odd is not None:
        raise ValueError(
            f"`named_ids` has {len(named[0])} ids for token 0 and {len(named[odd])} for token {odd}; name as many for "
            "each (an id may stand there twice)"
        )
    if tokens is not None and len(named) != tokens:
        raise ValueError(f"`named_ids` has {len(named)} lists, and the response has {tokens} tokens")
