"""What every wire is asked for, and the interface that the wires share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from tokenreward.schema import Include
from tokenreward_workers.scoring import Row
from tokenreward_workers.wanted import NOTHING, Wanted


@dataclass(frozen=True, slots=True)
class Ask:
    """One sequence whose last tokens are to be scored.

    Attributes:
        ids: The whole sequence: a branch's prompt and the response.
        start: Index of the first response token, at least 1.
        wanted: What is wanted beside the response's log-probs.
    """

    ids: list[int]
    start: int
    wanted: Wanted = NOTHING

    @property
    def response(self) -> list[int]:
        """The ids to score."""
        return self.ids[self.start :]


class UnusableAnswer(Exception):
    """An endpoint's answer has not the shape of its wire. The message says what is missing."""


class Wire(Protocol):
    """How one kind of server is asked for the log-probs of given tokens.

    Attributes:
        path: Of the endpoint that scores.
        several: Whether one request may hold several sequences.
        never: What it gives for no request at all, of what a job's `include` names.
    """

    path: str
    several: bool

    @property
    def never(self) -> tuple[Include, ...]: ...

    def body(self, asks: Sequence[Ask], model: str, salt: str | None) -> Mapping[str, Any]:
        """Write a request.

        Args:
            asks: What is scored; a single one where `several` is false.
            model: The model's name at the endpoint.
            salt: Requests with the same salt share cached prefixes; None reads nothing from the cache.
        """

    def lacks(self, wanted: Wanted) -> str | None:
        """Return what the wire cannot give of what is wanted; None if it can give all."""

    def rows(self, answer: Any, asks: Sequence[Ask]) -> list[Row | None]:
        """Read each sequence's row; None for one that was not computed whole.

        Raises:
            UnusableAnswer: The answer is no answer of this wire.
        """
