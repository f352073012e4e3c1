"""An instruction violated: the prompt asks for a case, a format or a count, and one place of the answer breaks it.

What is wrong is the place itself: the words in the wrong case, the value in the wrong format, the item too many.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tokenreward.audit.builtin.base import Story, Twin, material, twin

_SEED = 15

_NUMBERS = {2: "two", 3: "three", 4: "four"}


def twins() -> list[Twin]:
    """Return items whose answer breaks a case, a format or a count."""
    chance = random.Random(_SEED)
    found = material("instruction")
    formats = [Story(**entry) for entry in found["formats"]]
    written = [*_cases(found["questions"]), *formats, *_counts(found["lists"], chance)]
    return [twin(f"instruction-{number:02}", story.prompt, story.text) for number, story in enumerate(written)]


def _cases(questions: Sequence[Mapping[str, str]]) -> Iterator[Story]:
    """All capitals but for one sentence, and no capitals but for one word."""
    for number, entry in enumerate(questions):
        first, second = entry["first"], entry["second"]
        upper = f"{first.upper()} «{second.upper()}|{second}»"
        if number % 2:
            upper = f"«{first.upper()}|{first}» {second.upper()}"
        yield Story(f"{entry['question']} Answer in capital letters only.", upper)
        start, _, word = second.lower().rstrip(".").rpartition(" ")
        lower = f"{first.lower()} {start} «{word}|{word.upper()}»."
        yield Story(f"{entry['question']} Answer in lower case letters only.", lower)


def _counts(lists: Sequence[Mapping[str, Any]], chance: random.Random) -> Iterator[Story]:
    """One item more than the prompt asks for, in a line of text and in a list."""
    for entry in lists:
        topic, count = entry["topic"], chance.choice((2, 3, 4))
        word = _NUMBERS[count]
        *told, more = chance.sample(entry["things"], count + 1)
        yield Story(
            f"Name exactly {word} {topic}, separated by commas.",
            f"Here are {word} {topic}: {', '.join(told)}«|, {more}».",
        )
        *told, more = chance.sample(entry["things"], count + 1)
        lines = "".join(f"\n- {thing}" for thing in told)
        yield Story(
            f"Write a list of exactly {word} {topic}, one a line.",
            f"Here is a list of {topic}:{lines}«|\n- {more}»",
        )
