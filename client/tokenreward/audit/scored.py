"""Responses of an audit and their log-probs, from which the rewards of every label follow."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tokenreward.audit.plan import PLAIN, Content, Label
from tokenreward.audit.sets import Prompt
from tokenreward.estimators import Rewards
from tokenreward.schema import Fingerprint


@dataclass(frozen=True)
class Response:
    """One response to score.

    Attributes:
        prompt: Text or messages.
        text: The response.
    """

    prompt: Prompt
    text: str

    @property
    def key(self) -> tuple[str, str]:
        """A key that is equal for responses that need not be scored twice."""
        return (self.prompt if isinstance(self.prompt, str) else repr(self.prompt)), self.text

    def item(self) -> dict[str, Any]:
        """Return the response as an item to be labeled."""
        return {"prompt": self.prompt, "response": self.text}


@dataclass
class Scored:
    """One response with its tokens and log-probs.

    Attributes:
        token_ids: int `[T]`.
        tokens: The text of each token.
        offsets: int `[T, 2]`, the characters of the response that each token covers.
        logprobs: float32 `[T]` for each content of a branch.
        error: Why there is none of that.
    """

    token_ids: list[int] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    offsets: NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 2), dtype=np.int64))
    logprobs: dict[Content, NDArray[np.float32]] = field(default_factory=dict)
    error: str | None = None

    def rewards(self, label: Label) -> Rewards:
        """Return the rewards of a label, float32 `[T]` in [-0.5, 0.5]."""
        read = {branch: self.logprobs[content] for branch, content in label.contents.items()}
        return label.estimator.rewards(read)

    @property
    def plain(self) -> NDArray[np.float64]:
        """float64 `[T]`: log p(y_t | x, y_<t)."""
        return self.logprobs[PLAIN].astype(np.float64)


@dataclass(frozen=True)
class Scores:
    """All responses of an audit.

    Attributes:
        by_key: The responses by their `Response.key`.
        fingerprint: The set-up that scored them.
    """

    by_key: dict[tuple[str, str], Scored]
    fingerprint: Fingerprint

    def of(self, response: Response) -> Scored:
        """Return the scores of a response."""
        return self.by_key[response.key]
