"""A result set: one line for each item, and one line at the end."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from tokenreward.schema.candidates import TokenCandidates, TokenMoments
from tokenreward.schema.provenance import Provenance
from tokenreward.schema.wire import AnswerModel


class ItemFailure(AnswerModel):
    """Why one item has no rewards.

    Attributes:
        code: One of invalid_item, too_long, token_out_of_vocabulary, bad_template, non_finite, engine_error,
            adapter_failed, poison and cancelled. Programs may rely on these.
        message: The same for people.
        pointer: A JSON pointer to what is wrong, where there is one.
    """

    code: str
    message: str
    pointer: str | None = None


class Segment(AnswerModel):
    """One segment of a response.

    Attributes:
        start: Its first character in the response text.
        end: The character behind its last one.
        reward: Its tokens' pooled reward; None if no token falls into it.
    """

    start: int
    end: int
    reward: float | None


class ItemResult(AnswerModel):
    """One line of a result set. Lines come in input order.

    Attributes:
        index: The item's place in the input, from 0.
        id: The item's own id, if it had one.
        token_ids: int `[T]`, the completion to train on, end-of-turn token included.
        rewards: float32 `[T]`, one for each of `token_ids`, in [-0.5, 0.5] unless the estimator is unbounded.
        logprobs: On request, float32 `[T]` for each branch by its name, natural logarithms.
        tokens: On request, each token's text.
        offsets: On request, the characters [start, end) of each token in the response text. A token that is no part of
            the text, such as the end of turn, has an empty span at its end.
        difference: On request, float32 `[T]`: the estimator's d_t before it is squashed and pooled; unbounded.
        segments: On request, the pooled segments in the order of the text.
        turns: For an item with `score = "all"`, int `[T]`: the number of the assistant's turn that each token belongs
            to, from 0, and -1 for a token between the turns, whose reward is 0.
        moments: On request, for each branch by its name: entropy and variance of the prediction of each token.
        top: On request, for each branch: the `top_k` most likely ids at each token, and their log-probs.
        named: On request, for each branch: the item's `named_ids` at each token, and their log-probs.
        error: Why there is none of the above.
    """

    index: int
    id: str | None = None
    token_ids: list[int] | None = None
    rewards: list[float] | None = None
    logprobs: dict[str, list[float]] | None = None
    tokens: list[str] | None = None
    offsets: list[tuple[int, int]] | None = None
    difference: list[float] | None = None
    segments: list[Segment] | None = None
    turns: list[int] | None = None
    moments: dict[str, TokenMoments] | None = None
    top: dict[str, TokenCandidates] | None = None
    named: dict[str, TokenCandidates] | None = None
    error: ItemFailure | None = None

    def show(self) -> None:
        """Print the response as a heat map. Its text is there if `include` had "tokens"."""
        drawing().print_results([self])

    def _repr_html_(self) -> str:
        html: str = drawing().as_html([self])
        return html


def drawing() -> ModuleType:
    """Return the module that draws results. It stands above this one, and is loaded when somebody wants to see."""
    return import_module("tokenreward.show.notebook")


class ResultsEnd(AnswerModel):
    """The last line of a result set.

    Attributes:
        next: The index from which to go on (`?from=`).
        complete: Whether no more results will follow.
        provenance: Where the rewards came from.
    """

    next: int
    complete: bool
    provenance: Provenance
