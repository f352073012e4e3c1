"""The names of the columns that hold labels, and their values for labeled rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tokenreward.schema import ItemResult

#: Columns of an input, each behind `prefix(side)`: a response's token ids, and whether it ends its turn.
IDS, FINISHED = "token_ids", "finished"
#: Columns of an input that say more about its conversation, as in TRL.
TOOLS, KWARGS = "tools", "chat_template_kwargs"
#: Columns of images and sounds, which no text model reads.
MEDIA = ("images", "image", "audio", "audios", "video", "videos")
#: The columns that labels add, each behind `prefix(side)`. Ids that the input has stay what they are.
LABELS = (IDS, "token_rewards", "token_error")
TEXTS = ("tokens", "token_offsets")


def prefix(side: str) -> str:
    """Return the start of a side's column names: `chosen_` for `chosen`, and nothing for a single response."""
    return f"{side}_" if side in {"chosen", "rejected"} else ""


def label_columns(results: Sequence[ItemResult], sides: Sequence[str], texts: bool) -> dict[str, list[Any]]:
    """Return the columns that labeling adds to some rows.

    Args:
        results: The results of these rows' responses, row by row and side by side.
        sides: The sides of every row.
        texts: Whether to add each token's text and place.

    Returns:
        The values by column. A response without rewards has nulls, and its error.
    """
    columns: dict[str, list[Any]] = {}
    width = len(sides)
    for number, side in enumerate(sides):
        start = prefix(side)
        mine = results[number::width]
        columns[start + "token_ids"] = [r.token_ids if r.error is None else None for r in mine]
        columns[start + "token_rewards"] = [r.rewards if r.error is None else None for r in mine]
        columns[start + "token_error"] = [r.error and f"{r.error.code}: {r.error.message}" for r in mine]
        if texts:
            columns[start + "tokens"] = [r.tokens if r.error is None else None for r in mine]
            columns[start + "token_offsets"] = [r.offsets if r.error is None else None for r in mine]
    return columns
