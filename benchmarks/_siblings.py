"""Best-of-5 under `siblings`: every response is scored behind the best other one, and behind three worse ones."""

from __future__ import annotations

import random

from benchmarks._work import Work, words
from tokenreward import estimators, templates
from tokenreward.dataset.row_contexts import context_of
from tokenreward.dataset.row_layout import Response
from tokenreward.schema import Item
from tokenreward_workers.rendering import Prepared, Renderer

RESPONSES, WRONG = 5, 3


def siblings(renderer: Renderer, size: int, seed: int = 0) -> Work:
    """Return about `size` plain tokens of ranked responses, in the order of their file.

    The context fields are those that `tokenreward label` makes of what `tokenreward rank` keeps.
    """
    dice = random.Random(f"siblings{seed}")
    template = templates.resolve("siblings")
    sources = {name: str(field.source) for name, field in template.fields.items()}
    branches = estimators.resolve("rlcsd").branches
    work = Work([])
    while work.plain_tokens < size:
        prompt = words(dice, 150)
        ranked = [{"text": words(dice, 60), "score": float(-place)} for place in range(RESPONSES)]
        row = {"prompt": prompt, "responses": ranked}
        items = []
        for one in ranked:
            response = Response("response", prompt, str(one["text"]))
            context = context_of(row, response, sources, "row")
            items.append(Item(prompt=prompt, response=response.text, context=context))
        prepared = renderer.prepare(items, template, branches, {"wrong": WRONG})
        work = Work([*work.scorings, *(one.scoring for one in prepared if isinstance(one, Prepared))])
    return work
