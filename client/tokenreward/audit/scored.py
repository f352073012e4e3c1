"""Responses of an audit and their log-probs, from which the rewards of every label follow."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tokenreward.audit.contents import PLAIN, Content
from tokenreward.audit.plan import Label
from tokenreward.audit.sets import Context, Response, Span
from tokenreward.estimators import MOST_REWARD, Evidence, Moments, Rewards
from tokenreward.schema import Fingerprint
from tokenreward.segments import pooled, segment_values, segments_of, tokens_by_segment


@dataclass
class Scored:
    """One response with its tokens and log-probs.

    Attributes:
        text: The response.
        context: Its context fields.
        spans: Its own segments, for rewards that are pooled over `spans`.
        token_ids: int `[T]`.
        tokens: The text of each token.
        offsets: int `[T, 2]`, the characters of the response that each token covers.
        logprobs: float32 `[T]` for each content of a branch; `[K, T]` of a repeated one.
        moments: Of the predictions, for each content that some label reads them of.
        error: Why there is none of that.
    """

    text: str
    context: Context = field(default_factory=dict)
    spans: tuple[Span, ...] = ()
    token_ids: list[int] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    offsets: NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 2), dtype=np.int64))
    logprobs: dict[Content, NDArray[np.float32]] = field(default_factory=dict)
    moments: dict[Content, Moments] = field(default_factory=dict)
    error: str | None = None

    def rewards(self, label: Label) -> Rewards:
        """Return the rewards of a label, float32 `[T]` in [-0.5, 0.5].

        Raises:
            BadInput: The estimator cannot use the context fields.
        """
        read = {branch: self.logprobs[content] for branch, content in label.contents.items()}
        moments = {branch: self.moments[c] for branch, c in label.contents.items() if c in self.moments}
        offsets = [(int(start), int(end)) for start, end in self.offsets]
        rewards = label.estimator.apply(Evidence(read, self.text, offsets, self.context, moments)).rewards
        if label.pool is None:
            return rewards
        segments = self.spans if label.pool == "spans" else segments_of(self.text, label.pool)
        tokens = tokens_by_segment(offsets, segments, self.text)
        return pooled(rewards, tokens, segment_values(rewards, tokens, label.pool_by, MOST_REWARD))

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

    by_key: dict[tuple[str, str, str], Scored]
    fingerprint: Fingerprint

    def of(self, response: Response) -> Scored:
        """Return the scores of a response."""
        return self.by_key[response.key]
