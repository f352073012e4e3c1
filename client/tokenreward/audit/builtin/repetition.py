"""A sentence repeated: an answer says one of its sentences a second time, word for word.

The answers are the clean ones of `negation`. A repeated sentence is likely, which is why surprisal does not find it.
"""

from __future__ import annotations

import random
import re

from tokenreward.audit.builtin import negation
from tokenreward.audit.builtin.base import Twin

_SEED = 14


def twins() -> list[Twin]:
    """Return the answers of `negation`, each with one sentence repeated."""
    chance = random.Random(_SEED)
    made = []
    for number, source in enumerate(negation.twins()):
        sentences = re.findall(r"[^.]+\.(?:\s|$)", source.clean)
        sentences = [sentence.strip() for sentence in sentences]
        again = chance.randrange(len(sentences))
        place = chance.randrange(again + 1, len(sentences) + 1)
        told = [*sentences[:place], sentences[again], *sentences[place:]]
        start = len(" ".join(told[:place])) + 1
        span = (start, start + len(sentences[again]))
        made.append(Twin(f"repetition-{number:02}", source.prompt, source.clean, " ".join(told), (span,)))
    return made
