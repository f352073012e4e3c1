"""One labeled response out of a row, and its tokens' texts, for which the service is asked where the file lacks them.

The service is asked with the ids of the row: its text may be cut into other ids than those that were rewarded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tokenreward.dataset.columns import KEPT, LABELS, TEXTS, prefix
from tokenreward.dataset.row_layout import Response, layout_of, score_of
from tokenreward.errors import BadInput
from tokenreward.schema import ItemResult
from tokenreward.show.cells import segment_cells

#: A function that returns results with tokens and offsets, one for every item.
Ask = Callable[[list[dict[str, Any]]], Sequence[ItemResult]]


@dataclass(frozen=True)
class LabeledResponse:
    """One response of a labeled row.

    Attributes:
        response: The response itself.
        ids: int `[T]`, what was rewarded.
        rewards: float `[T]`, one for each id.
        error: Why there are no rewards; `ids` and `rewards` are empty then.
        tokens: Each token's text, or None if nobody could say it.
        offsets: int `[T, 2]`, the characters that each token covers.
        note: Why nobody could say it.
        segments: The segments that its rewards were pooled over, each with its `reward` and with `start` and `end` in
            characters, if the row has them.
    """

    response: Response
    ids: Sequence[int] = ()
    rewards: Sequence[float] = ()
    error: str | None = None
    tokens: Sequence[str] | None = None
    offsets: Sequence[Sequence[int]] | None = None
    note: str | None = None
    segments: Sequence[Mapping[str, Any]] = ()

    @property
    def drawable(self) -> bool:
        """Whether the file says all that is needed to draw it."""
        if self.error is not None or self.tokens is not None:
            return True
        return segment_cells(self.response.text, self.segments) is not None

    @property
    def scored(self) -> tuple[Sequence[int], Sequence[float]]:
        """The ids and their rewards."""
        return self.ids, self.rewards

    def item(self) -> dict[str, Any]:
        """Return the item that was rewarded, by its ids."""
        return replace(self.response, token_ids=tuple(self.ids)).item()


def labeled_responses(row: Mapping[str, Any], where: str) -> list[LabeledResponse]:
    """Return the labeled responses of a row, one for each side.

    Raises:
        BadInput: The row is not labeled, or its labels contradict each other.
    """
    added = {start + name for start in ("", "chosen_", "rejected_") for name in (*LABELS, *TEXTS, *KEPT.values())}
    own = {name: value for name, value in row.items() if name not in added}
    if len(own) == len(row):
        raise BadInput(f"{where}: no labels; `tokenreward label` makes them")
    layout = layout_of(own, where, score_of(row))
    return [_labeled(row, response, where) for response in layout.responses(own, where)]


def with_tokens(responses: Sequence[LabeledResponse], ask: Ask) -> list[LabeledResponse]:
    """Return the responses with the texts of their tokens, all of which are asked for in one call."""
    missing = [r for r in responses if not r.drawable]
    answers = iter(ask([r.item() for r in missing]) if missing else ())
    return [r if r.drawable else _told(r, next(answers)) for r in responses]


def _labeled(row: Mapping[str, Any], response: Response, where: str) -> LabeledResponse:
    start = prefix(response.side)
    ids, rewards = row.get(start + "token_ids"), row.get(start + "token_rewards")
    if ids is None or rewards is None:
        return LabeledResponse(response, error=str(row.get(start + "token_error") or "no rewards"))
    tokens, offsets = row.get(start + "tokens"), row.get(start + "token_offsets")
    columns = [ids, rewards, *([] if tokens is None else [tokens])]
    if not all(isinstance(column, list) for column in columns) or len({len(column) for column in columns}) > 1:
        raise BadInput(f"{where}: {start}token_ids, {start}token_rewards and {start}tokens differ in length")
    if not all(isinstance(reward, int | float) for reward in rewards):
        raise BadInput(f"{where}, column {start + 'token_rewards'!r}: a list of numbers is expected")
    segments = row.get(start + KEPT["segments"]) or ()
    return LabeledResponse(response, ids, rewards, tokens=tokens, offsets=offsets, segments=segments)


def _told(labeled: LabeledResponse, result: ItemResult) -> LabeledResponse:
    if result.error is not None:
        return replace(labeled, note=f"the service cannot say its tokens: {result.error.message}")
    if list(result.token_ids or ()) != list(labeled.ids) or result.tokens is None:
        return replace(labeled, note="the service does not know these tokens")
    return replace(labeled, tokens=result.tokens, offsets=result.offsets)
