"""The seam between the sampling loop and an engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Request:
    """One prompt. ids: up to and including the generation prompt.  seeds: one for each response wanted.

    room: the most tokens a response may have, end-of-turn token included.
    """

    ids: tuple[int, ...]
    seeds: tuple[int, ...]
    room: int


@dataclass(frozen=True)
class Response:
    """token_ids: as sampled, the token that ended it included.  finished: it ended by itself, not by `room`."""

    token_ids: tuple[int, ...]
    finished: bool


class Engine(Protocol):
    """Samples from one model. The same requests in one call give the same responses, in any process."""

    def sample(self, requests: Sequence[Request]) -> list[list[Response]]:
        """For each request, one response a seed, in their order."""
        ...

    def close(self) -> None: ...
