"""From edits to what a corrector learns: the corrected text after the prompt that the template `correct` makes (RLMEC,
arXiv 2401.06081).

A right text is its own correction, so that the corrector learns to leave such texts alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from tokenreward import templates
from tokenreward.chat_format import ChatFormat
from tokenreward.schema import Item
from tokenreward_trainer.labeler.edits import Edit
from tokenreward_trainer.labeler.token_classes import IGNORED
from tokenreward_trainer.model.scorable import ScoreRequest

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


def answer_loss(model: Any, batch: dict[str, Any]) -> torch.Tensor:
    """Return the cross entropy of the corrected texts. Prompts, which are most of a batch, never see the LM head.

    Args:
        model: A model that `make_scorable` has taught.
        batch: `input_ids`, `attention_mask` and `labels`, int64 `[B, T]`.
    """
    given = dict(batch)
    labels = given.pop("labels")
    predicted = torch.nn.functional.pad(labels[:, 1:], (0, 1), value=IGNORED).flatten()
    positions = (predicted != IGNORED).nonzero().squeeze(1)
    logps: torch.Tensor = model(**given, score=ScoreRequest(positions, predicted[positions]))["logps"]
    return -logps.mean()
