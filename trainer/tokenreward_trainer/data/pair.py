"""The types that training data is made of: tokenized pairs, examples with reference log-probs, and batches.

A single response, which SFT trains on, is a pair whose rejected side is empty.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

#: How a batch lies in tensors: `packed`, one row without padding, or `padded`, two rows a pair.
BatchLayout = Literal["packed", "padded"]

#: What the collator makes: tensors and lists by name.
Batch = dict[str, Any]

#: A floating-point array with one value per token.
Values = NDArray[np.floating[Any]]
#: True for each token that counts.
Mask = NDArray[np.bool_]
#: What a person marked in a text, `(start, end)` in characters.
Spans = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class TeacherScores:
    """What a teacher says of T tokens.

    Attributes:
        logps: float32 `[T]`, its log-prob of each token.
        top_ids: int64 `[T, K]`, its likeliest tokens at each place; None where the labels have none.
        top_logps: float32 `[T, K]`, their log-probs.
    """

    logps: Values
    top_ids: NDArray[np.int64] | None = None
    top_logps: Values | None = None

    def __getitem__(self, kept: Any) -> TeacherScores:
        """The scores of some tokens, by a slice or a mask."""
        return TeacherScores(
            self.logps[kept],
            None if self.top_ids is None else self.top_ids[kept],
            None if self.top_logps is None else self.top_logps[kept],
        )


@dataclass(frozen=True, slots=True)
class Pair:
    """One preference pair, tokenized.

    Attributes:
        id: The row's own id, or its number in the file.
        prompt: Token ids up to and including the generation prompt, at least one.
        chosen: Token ids of the preferred completion, at least one; a finished one includes its end-of-turn token.
        rejected: Token ids of the other completion, under the same rules; empty for a single response.
        chosen_token_rewards: float32 `[len(chosen)]` in [-0.5, 0.5], or None for an unlabeled pair.
        rejected_token_rewards: float32 `[len(rejected)]` in [-0.5, 0.5], or None for an unlabeled pair.
        chosen_mask: bool `[len(chosen)]`, True on the tokens to train on, at least one; None if these are all. The
            others, a user's or a tool's between the assistant's turns, are read as context and count nowhere.
        rejected_mask: bool `[len(rejected)]`, the same of the rejected completion; None for a single response.
        teacher: What a teacher says of the chosen completion, where it was read.
        bad_spans: What a person marked as wrong in the chosen and in the rejected completion; None where nobody looked.
    """

    id: str
    prompt: tuple[int, ...]
    chosen: tuple[int, ...]
    rejected: tuple[int, ...]
    chosen_token_rewards: Values | None = None
    rejected_token_rewards: Values | None = None
    chosen_mask: Mask | None = None
    rejected_mask: Mask | None = None
    teacher: TeacherScores | None = None
    bad_spans: tuple[Spans | None, Spans | None] = field(default=(None, None), kw_only=True)

    def __post_init__(self) -> None:
        assert self.prompt, "a prompt has at least one token"
        assert self.chosen, "a completion has at least one token"
        for ids, mask in ((self.chosen, self.chosen_mask), (self.rejected, self.rejected_mask)):
            assert mask is None or (len(mask) == len(ids) and mask.any()), "a mask has a token to train on"

    @property
    def single(self) -> bool:
        """Whether this is a single response."""
        return not self.rejected

    @property
    def counted(self) -> tuple[Mask, Mask]:
        """Which tokens of the chosen and of the rejected completion count."""
        sides = ((self.chosen, self.chosen_mask), (self.rejected, self.rejected_mask))
        chosen, rejected = (np.ones(len(ids), dtype=np.bool_) if mask is None else mask for ids, mask in sides)
        return chosen, rejected

    def within(self, vocabulary: int) -> bool:
        """Whether all ids are rows of an embedding of that size."""
        sides = (self.prompt, self.chosen, self.rejected)
        return all(min(ids, default=0) >= 0 and max(ids, default=0) < vocabulary for ids in sides)

    @property
    def tokens(self) -> int:
        """Tokens that a packed forward pass reads for this pair."""
        return len(self.prompt) + len(self.chosen) + len(self.rejected)


@dataclass(frozen=True, slots=True)
class Example:
    """One pair of a data set.

    Attributes:
        index: Its place in the data set.
        pair: The tokenized pair.
        ref_logps: Reference log-probs of the chosen and of the rejected completion, once they are known.
    """

    index: int
    pair: Pair
    ref_logps: tuple[Values, Values] | None = None
