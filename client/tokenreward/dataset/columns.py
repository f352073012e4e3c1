"""The names of the columns that hold labels, and their values for labeled rows."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from tokenreward.schema import Include, ItemResult

#: Columns of an input, each behind `prefix(side)`: a response's token ids, and whether it ends its turn.
IDS, FINISHED = "token_ids", "finished"
#: The columns with a response's own segments, and with the ids that are named for its tokens, behind `prefix(side)`.
SPANS, NAMED_IDS = "spans", "named_ids"
#: Columns of an input that say more about its conversation, as in TRL.
TOOLS, KWARGS = "tools", "chat_template_kwargs"
#: Columns of images and sounds, which no text model reads.
MEDIA = ("images", "image", "audio", "audios", "video", "videos")
#: The column with the turn that each token belongs to, where several turns of a response are scored.
TURNS = "token_turns"
#: The columns that labels add, each behind `prefix(side)`. Ids that the input has stay what they are.
LABELS = (IDS, "token_rewards", "token_error")
#: The columns that they add where they were asked for.
TEXTS = ("tokens", "token_offsets", TURNS)
#: The column of each thing that is kept on request, behind `prefix(side)`.
KEPT = {
    "difference": "token_differences",
    "segments": "segments",
    "logprobs": "token_logprobs",
    "moments": "token_moments",
    "top": "token_top",
    "named": "token_named",
}


def prefix(side: str) -> str:
    """Return the start of a side's column names: `chosen_` for `chosen`, and nothing for a single response."""
    return f"{side}_" if side in {"chosen", "rejected"} else ""


def label_columns(
    results: Sequence[ItemResult], sides: Sequence[str], include: Collection[Include] = (), *, turns: bool = False
) -> dict[str, list[Any]]:
    """Return the columns that labeling adds to some rows.

    Args:
        results: The results of these rows' responses, row by row and side by side.
        sides: The sides of every row.
        include: What is kept beside ids, rewards and errors.
        turns: Whether the turn of each token is kept.

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
        if turns:
            columns[start + TURNS] = [r.turns if r.error is None else None for r in mine]
        if "tokens" in include:
            columns[start + "tokens"] = [r.tokens if r.error is None else None for r in mine]
            columns[start + "token_offsets"] = [r.offsets if r.error is None else None for r in mine]
        for name, column in KEPT.items():
            if name in include:
                columns[start + column] = [_kept(r, name) for r in mine]
    return columns


def _kept(result: ItemResult, name: str) -> Any:
    """Return one part of a result as a file holds it: what is by branch as a list of structs."""
    value = None if result.error is not None else getattr(result, name)
    if value is None or name == "difference":
        return value
    if name == "segments":
        return [segment.model_dump() for segment in value]
    if name == "logprobs":
        return [{"branch": branch, "logprobs": row} for branch, row in value.items()]
    # A matrix as a list of arrays: neither Arrow nor JSON then needs a Python object for each of its numbers.
    return [{"branch": branch, **{field: list(part) for field, part in one}} for branch, one in value.items()]
