"""Errors put into clean texts: one in each, of a kind that people and models make."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence

from tokenreward.segments import segments_of
from tokenreward_trainer.labeler.edits import Edit

_NUMBER = re.compile(r"(?<![\w.,])\d+(?![\w]|[.,]\d)")
_VERB = re.compile(r"\b(?:is|are|was|were|can|will|does|do|has|have|should|must)\b(?! not)")
_NAME = re.compile(r"(?<=[a-z,] )[A-Z][a-z]{2,}")
_WORD = re.compile(r"\b[a-z]{4,}\b")


def corrupted(edits: Sequence[Edit], count: int, seed: int) -> list[Edit]:
    """Return edits of the better texts with an error put into each.

    Args:
        edits: Where the clean texts are from. Names and words that are put in are from other texts among them.
        count: How many to make at most; the texts are taken in turn.
        seed: Of the errors.
    """
    dice = random.Random(seed)
    texts = list(dict.fromkeys((repr(edit.prompt), edit.better) for edit in edits))
    prompts = {repr(edit.prompt): edit.prompt for edit in edits}
    words = sorted({word for _, text in texts for word in _WORD.findall(text)})
    names = sorted({name for _, text in texts for name in _NAME.findall(text)})
    found: dict[tuple[str, str], Edit] = {}
    for turn in range(3 * count):
        if len(found) == count or not texts:
            break
        prompt, text = texts[turn % len(texts)]
        wrong = with_error(text, dice, words, names)
        if wrong is not None:
            found.setdefault((prompt, wrong), Edit(prompts[prompt], wrong, text))
    return list(found.values())


def with_error(text: str, dice: random.Random, words: Sequence[str], names: Sequence[str]) -> str | None:
    """Return a text with one error; None if there is no place for one."""
    kinds: list[Callable[[], str | None]] = [
        lambda: _replaced(text, _NUMBER, _other_number, dice),
        lambda: _replaced(text, _NUMBER, _other_number, dice),  # twice: numbers go wrong most often
        lambda: _replaced(text, _NAME, lambda old, dice: _another(old, names, dice), dice),
        lambda: _replaced(text, _WORD, lambda old, dice: _another(old, words, dice), dice),
        lambda: _replaced(text, _VERB, lambda old, _: f"{old} not", dice),
        lambda: _repeated(text, dice),
    ]
    dice.shuffle(kinds)
    return next((wrong for kind in kinds if (wrong := kind()) is not None), None)


def _replaced(
    text: str, pattern: re.Pattern[str], other: Callable[[str, random.Random], str | None], dice: random.Random
) -> str | None:
    places = list(pattern.finditer(text))
    if not places:
        return None
    place = dice.choice(places)
    put = other(place[0], dice)
    return None if put is None else text[: place.start()] + put + text[place.end() :]


def _other_number(old: str, dice: random.Random) -> str:
    """Return a number of about the same size: a digit changed, or a little more or less."""
    value = int(old)
    near = [value + step for step in (-20, -10, -3, -2, -1, 1, 2, 3, 10, 20) if value + step >= 0]
    digit = dice.randrange(len(old))
    changed = old[:digit] + dice.choice([one for one in "123456789" if one != old[digit]]) + old[digit + 1 :]
    return dice.choice([changed, str(dice.choice(near))])


def _another(old: str, known: Sequence[str], dice: random.Random) -> str | None:
    others = [word for word in known if word != old]
    return dice.choice(others) if others else None


def _repeated(text: str, dice: random.Random) -> str | None:
    """Return the text with one of its sentences said again behind a later one."""
    sentences = segments_of(text, "sentence")
    if len(sentences) < 2:
        return None
    again = dice.randrange(len(sentences) - 1)
    end = sentences[dice.randrange(again + 1, len(sentences))][1]
    said = text[slice(*sentences[again])]
    return f"{text[:end]} {said}{text[end:]}"
