"""A response as cells: the smallest pieces of its text that can be drawn, each with the rewards of its tokens.

Most cells are one token. Tokens that share a character (an emoji may be four of them) share a cell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Cell:
    """A piece of a response.

    Attributes:
        text: What is drawn.
        rewards: One for each of its tokens, or none for text between tokens.
        special: Whether it is a token that is no part of the response's text, such as the end of turn. `text` is then
            its name.
        code: Whether it is part of code.
        begins: Whether it is the first of a segment whose tokens share one reward.
    """

    text: str
    rewards: tuple[float, ...] = ()
    special: bool = False
    code: bool = False
    begins: bool = False

    @property
    def reward(self) -> float:
        """The mean over its tokens, or 0 without tokens."""
        return sum(self.rewards) / len(self.rewards) if self.rewards else 0.0


def cells(
    text: str | None,
    tokens: Sequence[str],
    offsets: Sequence[Sequence[int]] | None,
    rewards: Sequence[float],
) -> list[Cell]:
    """Return the cells of a response.

    Without its text or fitting offsets every token is a cell of its own.

    Args:
        text: The response.
        tokens: The text of each token.
        offsets: int `[T, 2]`, the characters that each token covers.
        rewards: One for each token.
    """
    if text is None or offsets is None or not _fits(text, offsets):
        return [Cell(token, (reward,)) for token, reward in zip(tokens, rewards, strict=True)]
    drawn: list[Cell] = []
    start = end = 0  # of the cell being collected
    collected: list[float] = []

    def close() -> None:
        if collected:
            drawn.append(Cell(text[start:end], tuple(collected)))
            collected.clear()

    for token, (first, last), reward in zip(tokens, offsets, rewards, strict=True):
        if first == last:
            close()
            drawn.append(Cell(token, (reward,), special=True))
            continue
        if collected and first < end:  # it shares a character with the token before it
            end = max(end, last)
            collected.append(reward)
            continue
        close()
        if first > end:
            drawn.append(Cell(text[end:first]))
        start, end = first, last
        collected.append(reward)
    close()
    if end < len(text):
        drawn.append(Cell(text[end:]))
    return drawn


def segment_cells(text: str, segments: Sequence[Mapping[str, Any]]) -> list[Cell] | None:
    """Return the cells of a response of which nothing is known but the segments that its rewards were pooled over.

    Args:
        text: The response.
        segments: Its segments in the order of the text, each `{"start", "end", "reward"}`.

    Returns:
        One cell for each segment, and the text between them; None if there are none, or they do not fit the text.
    """
    drawn: list[Cell] = []
    at = 0
    for segment in segments:
        start, end, reward = segment["start"], segment["end"], segment["reward"]
        if not at <= start < end <= len(text):
            return None
        if start > at:
            drawn.append(Cell(text[at:start]))
        drawn.append(Cell(text[start:end], () if reward is None else (reward,), begins=reward is not None))
        at = end
    return [*drawn, Cell(text[at:])] if segments else None


def _fits(text: str, offsets: Sequence[Sequence[int]]) -> bool:
    """Return whether the spans lie in the text and go forward."""
    before = 0
    for first, last in offsets:
        if not before <= first + 1 or not first <= last <= len(text):
            return False
        before = max(before, last) if last > first else before
    return True
