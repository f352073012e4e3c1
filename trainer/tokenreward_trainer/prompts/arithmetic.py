"""Word problems whose answer is one whole number, in levels by the number and size of the steps."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from tokenreward_trainer.prompts.base import Prompt

_NAMES = ("Mia", "Tom", "Ana", "Ben", "Lea", "Sam", "Ida", "Max", "Eva", "Jon", "Zoe", "Leo")
_THINGS = ("apples", "books", "pencils", "stickers", "cups", "shells", "stamps", "cards", "coins", "marbles")


class Arithmetic:
    """The family `arithmetic`: stories about counting things."""

    name = "arithmetic"
    levels = (
        "one addition, numbers up to 5",
        "one addition, numbers up to 10",
        "one subtraction, numbers up to 20",
        "one multiplication, numbers up to 10",
        "two steps: a multiplication and an addition",
        "three steps, numbers up to 50",
    )

    def make(self, level: int, generator: random.Random) -> Prompt:
        """Makes one prompt of a level; all randomness comes from `generator`."""
        story, answer = _MAKERS[level - 1](generator, generator.choice(_NAMES), generator.choice(_THINGS))
        text = f"{story} Explain in one sentence and end with the number."
        return Prompt(text, {"kind": "final_number", "answer": answer})


def _small_sum(dice: random.Random, name: str, things: str) -> tuple[str, int]:
    return _sum(dice, name, things, 5)


def _larger_sum(dice: random.Random, name: str, things: str) -> tuple[str, int]:
    return _sum(dice, name, things, 10)


def _sum(dice: random.Random, name: str, things: str, most: int) -> tuple[str, int]:
    first, more = dice.randint(2, most), dice.randint(2, most)
    return f"{name} has {first} {things} and gets {more} more. How many {things} does {name} have now?", first + more


def _difference(dice: random.Random, name: str, things: str) -> tuple[str, int]:
    all_of_them = dice.randint(8, 20)
    away = dice.randint(2, all_of_them - 2)
    question = f"How many {things} are left?"
    return f"{name} has {all_of_them} {things} and gives away {away}. {question}", all_of_them - away


def _product(dice: random.Random, name: str, things: str) -> tuple[str, int]:
    bags, each = dice.randint(2, 10), dice.randint(2, 10)
    return f"{name} has {bags} bags with {each} {things} each. How many {things} is that?", bags * each


def _two_steps(dice: random.Random, name: str, things: str) -> tuple[str, int]:
    bags, each, more = dice.randint(2, 9), dice.randint(2, 9), dice.randint(2, 20)
    story = f"{name} has {bags} bags with {each} {things} each and finds {more} more."
    return f"{story} How many {things} is that?", bags * each + more


def _three_steps(dice: random.Random, name: str, things: str) -> tuple[str, int]:
    bags, each, more = dice.randint(3, 9), dice.randint(5, 50), dice.randint(5, 50)
    away = dice.randint(2, bags * each + more - 2)
    story = f"{name} has {bags} bags with {each} {things} each, finds {more} more and then gives away {away}."
    return f"{story} How many {things} are left?", bags * each + more - away


_MAKERS: tuple[Callable[[random.Random, str, str], tuple[str, Any]], ...] = (
    _small_sum,
    _larger_sum,
    _difference,
    _product,
    _two_steps,
    _three_steps,
)
