"""PRM800K (arXiv 2305.20050): solutions in steps, each rated -1, 0 or +1 by a person.

A step that is rated -1 is wrong, 0 and +1 are not. Where the solution was generated beforehand (phase 2), it is taken
as a whole, and nothing that follows the last labeled step was judged. Otherwise it is made of the chosen steps; where
none was chosen, of the one that a person wrote, or of the first wrong one. Broken problems and solutions that a labeler
gave up are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tokenreward.audit.converters.fields import field, filled, joined

_FINISHED = ("solution", "found_error")


def convert(rows: Iterable[tuple[str, Mapping[str, Any]]]) -> Iterator[dict[str, Any]]:
    """Yield a row of an audit for each solution that was labeled to its end."""
    for number, (where, row) in enumerate(rows):
        label, question = field(row, "label", dict, where), field(row, "question", dict, where)
        if label.get("finish_reason") not in _FINISHED:
            continue
        rated = [_step(step) for step in field(label, "steps", list, where)]
        whole = question.get("pre_generated_steps") or [text for text, _ in rated]
        text, spans = joined([str(step) for step in whole], "\n")
        # One span, so that what separates the steps is in it.
        behind = [[spans[len(rated)][0], len(text)]] if len(rated) < len(spans) else []
        judged = list(zip(spans, (rating for _, rating in rated), strict=False))
        yield {
            "id": str(row.get("id", number)),
            "prompt": field(question, "problem", str, where),
            "response": text,
            "bad_spans": filled(span for span, rating in judged if rating == -1),
            "ignore_spans": filled([*(span for span, rating in judged if rating is None), *behind]),
        }


def _step(step: Mapping[str, Any]) -> tuple[str, Any]:
    """Return the text of a step and its rating, None if it has none."""
    completions, chosen = step.get("completions") or [], step.get("chosen_completion")
    if chosen is not None:
        return str(completions[chosen]["text"]), completions[chosen].get("rating")
    if (human := step.get("human_completion")) is not None:
        return str(human["text"] if isinstance(human, Mapping) else human), 1
    # The first one is the one that the solution goes on with, where it was generated beforehand.
    first = completions[0] if completions else {"text": "", "rating": None}
    wrong = next((one for one in completions if one.get("rating") == -1), first)
    return str(wrong["text"]), wrong.get("rating")
