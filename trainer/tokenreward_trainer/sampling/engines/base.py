"""The seam between the sampling loop and an engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Request:
    """What is asked of one prompt.

    Attributes:
        ids: Token ids up to and including the generation prompt.
        seeds: One for each response wanted.
        room: The most tokens of a response, end-of-turn token included.
        begun: What the generation prompt has written of the answer already: the mark that opens a thought, or nothing.
    """

    ids: tuple[int, ...]
    seeds: tuple[int, ...]
    room: int
    begun: str = ""


@dataclass(frozen=True)
class Response:
    """One sampled response.

    Attributes:
        token_ids: As sampled, including the token that ended it.
        finished: Whether it ended by itself, not by `room`.
    """

    token_ids: tuple[int, ...]
    finished: bool


class Engine(Protocol):
    """Samples from one model. The same requests in one call give the same responses, in any process."""

    def sample(self, requests: Sequence[Request]) -> list[list[Response]]:
        """Returns for each request one response a seed, in their order."""
        ...

    def close(self) -> None:
        """Frees the model's memory."""
        ...
