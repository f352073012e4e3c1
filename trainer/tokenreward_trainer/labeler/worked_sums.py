"""Worked sums and small facts by rule, with one wrong result or word: edits for whoever has none.

The stories and the wording are other ones than those of the audit's built-in sets, which have to stay unseen.
"""

from __future__ import annotations

import json
import random
import tempfile
from collections.abc import Callable
from pathlib import Path

from tokenreward_trainer.labeler.corruptions import corrupted
from tokenreward_trainer.labeler.edits import Edit
from tokenreward_trainer.prompts.demo_pairs import write_pairs

_PEOPLE = ("Nora", "Ivan", "Rosa", "Omar", "Petra", "Yusuf", "Clara", "Anton", "Maya", "Felix", "Tara", "Viktor")
_GOODS = ("bottles", "tickets", "chairs", "bricks", "letters", "oranges", "plants", "bolts", "photos", "candles")
_PLACES = ("shop", "school", "museum", "farm", "library", "factory", "club", "hotel")

#: (first, second) -> words for one step with its result.
_TIMES: tuple[Callable[[int, int], str], ...] = (
    lambda a, b: f"{a} times {b} is {a * b}",
    lambda a, b: f"{a} * {b} = {a * b}",
    lambda a, b: f"{a} x {b} makes {a * b}",
)
_PLUS: tuple[Callable[[int, int], str], ...] = (
    lambda a, b: f"{a} plus {b} is {a + b}",
    lambda a, b: f"{a} + {b} = {a + b}",
    lambda a, b: f"adding {b} to {a} gives {a + b}",
)
_MINUS: tuple[Callable[[int, int], str], ...] = (
    lambda a, b: f"{a} minus {b} is {a - b}",
    lambda a, b: f"{a} - {b} = {a - b}",
    lambda a, b: f"taking {b} from {a} leaves {a - b}",
)


def made_edits(count: int, seed: int) -> list[Edit]:
    """Return edits by rule: about two thirds sums, the others of the demo's pairs.

    Args:
        count: How many.
        seed: Of numbers, wording and errors.
    """
    dice = random.Random(seed)
    clean = [_solved(dice) for _ in range(2 * count // 3)]
    sums = corrupted(clean, len(clean), seed)
    return [*sums, *_facts(count - len(sums), seed)]


def _solved(dice: random.Random) -> Edit:
    """Return a sum with its solution; both texts are right."""
    person, goods, place = dice.choice(_PEOPLE), dice.choice(_GOODS), dice.choice(_PLACES)
    boxes, each, more = dice.randint(3, 24), dice.randint(3, 40), dice.randint(2, 90)
    whole = boxes * each
    if dice.random() < 0.5:
        less = dice.randint(1, whole - 1)
        prompt = (
            f"The {place} orders {boxes} crates of {goods} with {each} in each crate. {person} finds that {less} of"
            f" them are broken. How many {goods} can be used?"
        )
        steps = [
            f"There are {boxes} crates with {each} {goods} each, and {dice.choice(_TIMES)(boxes, each)}.",
            f"Of these, {less} are broken: {dice.choice(_MINUS)(whole, less)}.",
            f"So {whole - less} {goods} can be used.",
        ]
    else:
        prompt = (
            f"{person} packs {each} {goods} into every box and fills {boxes} boxes for the {place}. Later {more} more"
            f" {goods} arrive. How many {goods} does the {place} have?"
        )
        steps = [
            f"{boxes} boxes hold {each} {goods} each; {dice.choice(_TIMES)(boxes, each)}.",
            f"With the {more} that arrive later, {dice.choice(_PLUS)(whole, more)}.",
            f"The {place} has {whole + more} {goods}.",
        ]
    solution = dice.choice(["\n", " "]).join(steps)
    return Edit(prompt, solution, solution)


def _facts(count: int, seed: int) -> list[Edit]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pairs.jsonl"
        write_pairs(path, max(64, count))
        rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    own = [Edit(row["prompt"], row["rejected"], row["chosen"]) for row in rows]
    kept = [edit for edit in own if edit.kept >= 0.5]
    return [*kept[: count // 2], *corrupted(own, count - min(len(kept), count // 2), seed)]
