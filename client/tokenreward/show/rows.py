"""The rows of a labeled file, prepared for drawing.

If the file does not hold each token's place in its response, the service is asked for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from tokenreward.dataset.columns import LABELS, TEXTS, prefix
from tokenreward.dataset.formats import read_labeled
from tokenreward.dataset.row_layout import layout_of
from tokenreward.errors import BadInput
from tokenreward.schema import ItemResult, Message
from tokenreward.show.cells import Cell, cells
from tokenreward.templates import transcript

#: A function that returns results with tokens and offsets, one for every item.
Ask = Callable[[list[dict[str, Any]]], Sequence[ItemResult]]


@dataclass(frozen=True)
class Shown:
    """One response as it is drawn.

    Attributes:
        side: The column it is from.
        cells: Its pieces.
        rewards: One for each token.
        error: Why there are none.
    """

    side: str
    cells: tuple[Cell, ...]
    rewards: tuple[float, ...]
    error: str | None = None

    @property
    def total(self) -> float:
        """The sum of the rewards."""
        return sum(self.rewards)

    @property
    def mean(self) -> float:
        """The mean reward, or 0 without tokens."""
        return self.total / len(self.rewards) if self.rewards else 0.0


@dataclass(frozen=True)
class ShownRow:
    """One row as it is drawn.

    Attributes:
        name: Its id, or its number.
        prompt: The prompt as text.
        responses: Its one response, or its chosen and rejected ones.
    """

    name: str
    prompt: str
    responses: tuple[Shown, ...]


def shown_rows(path: Path, start: int, count: int, ask: Ask) -> list[ShownRow]:
    """Return some rows of a labeled file.

    Args:
        path: The file.
        start: The number of the first row.
        count: How many rows.
        ask: Asks the service for the tokens of items, if the file does not hold them.

    Raises:
        BadInput: There are no such rows, or they are not labeled.
    """
    rows = list(islice(read_labeled(path), start, start + count))
    if not rows:
        raise BadInput(f"{path}: no rows from {start}")
    return [_shown(row, number, path, ask) for number, row in enumerate(rows, start)]


def _shown(row: Mapping[str, Any], number: int, path: Path, ask: Ask) -> ShownRow:
    where = f"{path}, row {number}"
    added = {start + name for start in ("", "chosen_", "rejected_") for name in LABELS + TEXTS}
    own = {name: value for name, value in row.items() if name not in added}
    if len(own) == len(row):
        raise BadInput(f"{where}: no labels; `tokenreward label` makes them")
    layout = layout_of(own, where)
    found = layout.responses(own, where)
    # One request for both sides of a row that has rewards without the texts of their tokens.
    missing = [
        r
        for r in found
        if row.get(prefix(r.side) + "tokens") is None
        and row.get(prefix(r.side) + "token_ids")
        and row.get(prefix(r.side) + "token_rewards") is not None
    ]
    asked = dict(zip([r.side for r in missing], ask([r.item() for r in missing]), strict=True)) if missing else {}
    responses = []
    for response in found:
        start = prefix(response.side)
        ids, rewards = row.get(start + "token_ids"), row.get(start + "token_rewards")
        if ids is None or rewards is None:
            error = row.get(start + "token_error") or "no rewards"
            responses.append(Shown(response.side, (Cell(response.text),), (), str(error)))
            continue
        tokens, offsets = row.get(start + "tokens"), row.get(start + "token_offsets")
        if (result := asked.get(response.side)) is not None:
            tokens, offsets = _same(result, ids, where), result.offsets
        if not len(tokens or ()) == len(ids) == len(rewards):
            raise BadInput(f"{where}: token_ids, token_rewards and tokens differ in length")
        assert tokens is not None
        drawn = cells(response.text, tokens, offsets, rewards)
        responses.append(Shown(response.side, tuple(drawn), tuple(rewards)))
    return ShownRow(str(row.get("id", number)), _prompt_text(found[0].prompt), tuple(responses))


def _same(result: ItemResult, ids: Sequence[int], where: str) -> list[str]:
    if result.error is not None:
        raise BadInput(f"{where}: the service cannot say its tokens ({result.error.message})")
    if list(result.token_ids or ()) != list(ids) or result.tokens is None:
        raise BadInput(f"{where}: the service cuts this response into other tokens than those of the file")
    return result.tokens


def _prompt_text(prompt: str | list[dict[str, Any]]) -> str:
    return transcript(prompt if isinstance(prompt, str) else [Message(**message) for message in prompt])
