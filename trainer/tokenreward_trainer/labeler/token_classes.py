"""From edits to what a token classifier learns: one class for each token of a response (TLCR, arXiv 2407.16574).

A token of the worse text that the edit takes out is negative, and a token of the better text that it puts in is
positive. What both have in common is neutral.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tokenreward.chat_format import ChatFormat
from tokenreward.checkpoint.token_classifier import CLASSES
from tokenreward.estimators.edit import edited
from tokenreward.schema import Item
from tokenreward_trainer.labeler.edits import Edit

#: The target of tokens that nothing is learned from.
IGNORED = -100


def classified(edit: Edit, chat: ChatFormat) -> Iterator[dict[str, Any]]:
    """Yield `input_ids` and `labels`, one class a token, for the worse and the better text of an edit.

    Args:
        edit: The edit.
        chat: The model's chat format.
    """
    for text, other, changed in (
        (edit.worse, edit.better, CLASSES.index("negative")),
        (edit.better, edit.worse, CLASSES.index("positive")),
    ):
        found = chat.completion(Item.model_validate({"prompt": edit.prompt, "response": text}))
        assert found.answer is not None
        marked = edited(text, other)
        _, offsets = chat.pieces(found.response, found.answer)
        classes = [
            IGNORED if start >= end else changed if marked[start:end].any() else CLASSES.index("neutral")
            for start, end in offsets
        ]
        yield {"input_ids": [*found.prompt, *found.response], "labels": [IGNORED] * len(found.prompt) + classes}
