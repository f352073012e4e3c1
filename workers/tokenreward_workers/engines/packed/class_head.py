"""The head of a token classifier: how good each token is, where it has been read.

A language model's row is predicted by the token before it. A classifier judges a token from its own state, so one token
is put behind the response, and each row is taken one token later.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch

from tokenreward.checkpoint.token_classifier import CLASSES
from tokenreward.errors import BadInput
from tokenreward_workers.engines.base import Key
from tokenreward_workers.scoring import Row, Scored, Scoring
from tokenreward_workers.wanted import NOTHING


class ClassHead:
    """The output layer of a token classifier, with the interface of `LmHead`.

    Attributes:
        dtype: Of the logits.
        vocabulary: Token ids are in [0, vocabulary).
    """

    def __init__(self, model: Any) -> None:
        """Take the head of `model`.

        Raises:
            BadInput: Its classes are not `CLASSES`.
        """
        found = tuple(name for _, name in sorted(model.config.id2label.items()))
        if found != CLASSES:
            raise BadInput(f"the classes of this token classifier are {', '.join(found)}, not {', '.join(CLASSES)}")
        self._score = model.score
        self.dtype = str(self._score.weight.dtype).removeprefix("torch.")
        self.vocabulary = int(model.get_input_embeddings().weight.shape[0])

    def bound(self) -> None:
        """Do nothing: three logits a row need no bound."""

    def log_probs(
        self,
        hidden: torch.Tensor,
        targets: torch.Tensor,
        alive: Callable[[], object],
        seen: Callable[[int, torch.Tensor], object] | None = None,
    ) -> torch.Tensor:
        """Return the log of p(positive) + p(neutral) / 2 for each state.

        Args:
            hidden: `[R, H]`, the body's last states.
            targets: Not read: a state knows the token that it judges.
            alive: Called once.
            seen: Not called: three classes are no prediction of a token, and nothing more is wanted of them.

        Returns:
            float32 `[R]`.
        """
        alive()
        return _good(self._score(hidden))

    def plain(self, logits: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        """Return the same from the logits of a plain pass `[L, 3]`, for all of its states but the last, float32."""
        return _good(logits[:-1])


def lengthened(part: Sequence[tuple[Key, Scoring]]) -> list[tuple[Key, Scoring]]:
    """Return scorings with one more token behind each response, so that its last one is read, too."""
    return [(key, replace(one, response=(*one.response, one.response[-1]), wanted=NOTHING)) for key, one in part]


def shortened(scored: Scored) -> Scored:
    """Return the rows of lengthened scorings without the first one, which judges the end of the prompt."""
    return {branch: Row(row.logprobs[1:]) for branch, row in scored.items()}


def _good(logits: torch.Tensor) -> torch.Tensor:
    logs = logits.float().log_softmax(-1)
    neutral, positive = (logs[..., CLASSES.index(name)] for name in ("neutral", "positive"))
    return torch.logaddexp(positive, neutral - math.log(2)).clamp(max=0)  # above 0 by rounding only
