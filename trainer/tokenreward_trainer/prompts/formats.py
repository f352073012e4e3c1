"""Instructions about form that a program can check: which letters, how many words or sentences, what must not occur."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from tokenreward_trainer.prompts.base import Prompt

Constraint = dict[str, Any]

#: topic, a word that an answer about it may well use.
_TOPICS = (
    ("the sea", "water"),
    ("a cat", "cat"),
    ("winter", "cold"),
    ("bread", "flour"),
    ("a library", "books"),
    ("the moon", "night"),
    ("a bicycle", "wheels"),
    ("rain", "clouds"),
    ("a garden", "plants"),
    ("music", "sound"),
    ("a train", "travel"),
    ("tea", "cup"),
    ("a forest", "trees"),
    ("friendship", "trust"),
    ("a mountain", "high"),
    ("the sun", "light"),
    ("a dog", "loyal"),
    ("summer", "warm"),
    ("cheese", "milk"),
    ("a school", "children"),
    ("a river", "water"),
    ("a ship", "sea"),
    ("snow", "white"),
    ("honey", "bees"),
    ("a market", "people"),
    ("a birthday", "cake"),
    ("an island", "beach"),
    ("a doctor", "help"),
    ("a kitchen", "food"),
    ("football", "ball"),
    ("autumn", "leaves"),
    ("a clock", "time"),
    ("a bridge", "river"),
    ("coffee", "morning"),
    ("a horse", "fast"),
    ("a castle", "walls"),
    ("the wind", "air"),
    ("a farm", "animals"),
    ("a letter", "paper"),
    ("sleep", "night"),
)
_OPENINGS = ("Describe", "Tell me about", "Write about")


class Formats:
    """The family `format`: topics to write about, with rules about the form."""

    name = "format"
    levels = (
        "a limit that is easily kept: at most so many words",
        "a word to use and a limit of words",
        "exactly so many sentences",
        "a forbidden character: no commas, and exactly so many sentences",
        "case: all lowercase or all capital letters",
        "a forbidden letter and a case",
    )

    def make(self, level: int, generator: random.Random) -> Prompt:
        """Makes one prompt of a level; all randomness comes from `generator`."""
        topic, word = generator.choice(_TOPICS)
        wishes = _MAKERS[level - 1](generator, word)
        text = f"{generator.choice(_OPENINGS)} {topic}. " + " ".join(said for said, _ in wishes)
        return Prompt(text, {"kind": "constraints", "constraints": [constraint for _, constraint in wishes]})


Wish = tuple[str, Constraint]


def _at_most(dice: random.Random, low: int, high: int) -> Wish:
    limit = dice.randrange(low, high + 1, 5)
    return f"Use at most {limit} words.", {"name": "words", "most": limit}


def _sentences(dice: random.Random, most: int) -> Wish:
    count = dice.randint(1, most)
    number = ("one sentence", "two sentences", "three sentences")[count - 1]
    return f"Write exactly {number}.", {"name": "sentences", "exactly": count}


def _with_word(word: str) -> Wish:
    return f"Use the word '{word}'.", {"name": "contains", "word": word}


def _case(dice: random.Random) -> Wish:
    if dice.random() < 0.5:
        return "Write everything in lowercase letters.", {"name": "lowercase"}
    return "WRITE EVERYTHING IN CAPITAL LETTERS.", {"name": "uppercase"}


def _without(text: str, said: str) -> Wish:
    return said, {"name": "forbidden", "characters": text}


_MAKERS: tuple[Callable[[random.Random, str], list[Wish]], ...] = (
    lambda dice, _: [_at_most(dice, 60, 90)],
    lambda dice, word: [_with_word(word), _at_most(dice, 30, 60)],
    lambda dice, _: [_sentences(dice, 3)],
    lambda dice, _: [_without(",", "Use no commas."), _sentences(dice, 2)],
    lambda dice, _: [_case(dice)],
    lambda dice, _: [_without("z", "Do not use the letter z."), _case(dice), _sentences(dice, 2)],
)
