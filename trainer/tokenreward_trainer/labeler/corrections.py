"""From edits to what a corrector learns: the corrected text after the prompt that the template `correct` makes (RLMEC,
arXiv 2401.06081).

A right text is its own correction, so that the corrector learns to leave such texts alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tokenreward import templates
from tokenreward.chat_format import ChatFormat
from tokenreward.schema import Item
from tokenreward_trainer.labeler.edits import Edit
from tokenreward_trainer.labeler.token_classes import IGNORED

TEMPLATE = "correct"


def corrections(edit: Edit, chat: ChatFormat) -> Iterator[dict[str, Any]]:
    """Yield `input_ids` and `labels` of the correction of the worse text, and of the better one.

    Args:
        edit: The edit.
        chat: The model's chat format.
    """
    template = templates.resolve(TEMPLATE)
    for shown in (edit.worse, edit.better):
        item = Item.model_validate({"prompt": edit.prompt, "response": shown})
        (message,) = templates.render(template, item, branches=["correct"])["correct"]
        prompt = chat.prompt_ids([message.model_dump()], answered=True)
        answer = chat.answer_ids(edit.better)
        yield {"input_ids": [*prompt, *answer], "labels": [IGNORED] * len(prompt) + answer}
