"""What is worth saying about the rows of a file of pairs: counted row by row, warned of once, kept in run.json."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from tokenreward.chat_format import ChatFormat
from tokenreward.dataset.row_layout import Response
from tokenreward.errors import BadInput
from tokenreward_trainer.doubtful import DoubtfulOption

_BLANKS = re.compile(r"\s+")
#: Columns with the scores of both sides, as `tokenreward rank` and public data sets call them.
_SCORES = (("chosen_score", "rejected_score"), ("score_chosen", "score_rejected"))


@dataclass(slots=True)
class RowCounts:
    """How many rows of a file are other than one would think.

    Attributes:
        skipped: Left out, because labeling them failed (their `..._token_error` says why).
        outside: Left out, because a token id is beyond the model's vocabulary.
        truncated: Pairs that were cut to fit.
        prompts_cut: Pairs of these that lost the beginning of their prompt.
        mismatched: Rows with ids that do not decode to the text beside them.
        swapped: Rows whose rejected side is the better one: by its ids, which are the other side's text, or by scores.
        equal: Rows whose chosen and rejected sides are the same ids or the same text.
    """

    skipped: int = 0
    outside: int = 0
    truncated: int = 0
    prompts_cut: int = 0
    mismatched: int = 0
    swapped: int = 0
    equal: int = 0

    def as_json(self) -> dict[str, int]:
        """Returns all counts by name."""
        return asdict(self)

    def __add__(self, other: RowCounts) -> RowCounts:
        return RowCounts(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


class RowChecks:
    """Compares the sides of each row with each other, and their ids with their texts.

    Args:
        chat: The policy's chat format.
        counts: Where it is counted.
    """

    def __init__(self, chat: ChatFormat, counts: RowCounts) -> None:
        self._chat = chat
        self._counts = counts

    def check(
        self,
        row: Mapping[str, Any],
        responses: Sequence[Response],
        ids: Sequence[Sequence[int]],
        *,
        written: bool = False,
    ) -> None:
        """Checks one row.

        Args:
            row: All its columns.
            responses: The chosen and the rejected one.
            ids: Those that are trained on.
            written: Whether the ids are known to be those of the texts.
        """
        texts = [response.text for response in responses]
        chosen, rejected = texts
        # Thoughts and tool calls are no part of the text, and what is trained on may differ in them alone.
        only_text = not written and all(response.message is None for response in responses)
        self._counts.equal += (only_text and chosen == rejected) or list(ids[0]) == list(ids[1])
        own = [written or self._says(numbers, text) for numbers, text in zip(ids, texts, strict=True)]
        crossed = not all(own) and self._says(ids[0], rejected) and self._says(ids[1], chosen)
        self._counts.swapped += crossed or _scores_are_swapped(row)
        self._counts.mismatched += not all(own) and not crossed

    def _says(self, ids: Sequence[int], text: str) -> bool:
        """Whether ids are a text. A template may put something around it, and a tokenizer may change it."""
        decoded = _BLANKS.sub("", self._chat.tokenizer.decode(ids))
        if _BLANKS.sub("", text) in decoded:
            return True
        try:
            expected = self._chat.answer_ids(text, finished=False)
        except BadInput:
            return False
        return list(ids[: len(expected)]) == expected


def warn_of(counts: RowCounts, rows: int, name: str, max_length: int) -> None:
    """Warns of what a file's rows have that is rarely meant.

    Args:
        counts: What was found.
        rows: The rows of the file.
        name: What the warnings call the file.
        max_length: The most tokens of prompt and completion.
    """
    pairs = rows - counts.skipped - counts.outside
    beginnings = f", {counts.prompts_cut} of them at the beginning of their prompt" if counts.prompts_cut else ""
    said = {
        "have an error instead of labels and are left out (`tokenreward label` says which)": counts.skipped,
        "have a token id beyond the model's vocabulary and are left out": counts.outside,
        "have token ids that do not decode to their text; the ids are trained on": counts.mismatched,
        "have swapped sides: `rejected` has the ids of the chosen text, or the higher score": counts.swapped,
        "are the same on both sides, and nothing is learned from them": counts.equal,
    }
    texts = [f"{count} of {rows} rows {what}" for what, count in said.items() if count]
    if counts.truncated > pairs // 10:
        texts.append(
            f"{counts.truncated} of {pairs} pairs are longer than max_length = {max_length} and were cut{beginnings}: "
            "a cut completion has lost its end; consider a larger max_length"
        )
    for text in texts:
        warnings.warn(f"{name}: {text}", DoubtfulOption, stacklevel=3)


def _scores_are_swapped(row: Mapping[str, Any]) -> bool:
    for chosen, rejected in _SCORES:
        scores = row.get(chosen), row.get(rejected)
        if all(isinstance(score, int | float) and not isinstance(score, bool) for score in scores):
            return bool(scores[0] < scores[1])  # type: ignore[operator]
    return False
