"""The demo's preference pairs: small questions with a right answer and one that goes wrong at a known place.

Written by rule, so that they are free to use and the same everywhere. Three kinds: a sum with one wrong step, a fact
with one wrong word, and an instruction that is followed or ignored.
"""

from __future__ import annotations

import json
import random
from pathlib import Path

_NAMES = ("Mia", "Tom", "Ana", "Ben", "Lea", "Sam", "Ida", "Max")
_THINGS = ("apples", "books", "pencils", "stickers", "cups", "shells", "stamps", "cards")

#: question, answer with {} for the fact, the fact, a wrong one.
_FACTS = (
    ("What is the capital of France?", "The capital of France is {}, on the river Seine.", "Paris", "Madrid"),
    ("How many days are there in a week?", "A week has {} days, from Monday to Sunday.", "seven", "nine"),
    ("What do bees make?", "Bees make {} from the nectar of flowers.", "honey", "butter"),
    (
        "Which planet is closest to the Sun?",
        "The planet closest to the Sun is {}, a small rocky one.",
        "Mercury",
        "Saturn",
    ),
    ("What colour do you get from blue and yellow paint?", "Blue and yellow paint mixed give {}.", "green", "purple"),
    ("How many legs does a spider have?", "A spider has {} legs, two more than an insect.", "eight", "five"),
    ("What is frozen water called?", "Frozen water is called {}; it melts at 0 degrees Celsius.", "ice", "sand"),
    ("Which animal barks?", "The animal that barks is the {}, a common pet.", "dog", "fish"),
    ("In which season do leaves fall from the trees?", "Leaves fall from the trees in {}.", "autumn", "spring"),
    ("What is the opposite of hot?", "The opposite of hot is {}.", "cold", "loud"),
    ("Who writes prescriptions for medicine?", "Prescriptions are written by a {}.", "doctor", "baker"),
    ("What do plants need to grow?", "Plants need water, soil and {} to grow.", "light", "noise"),
    ("What is the largest ocean on Earth?", "The largest ocean on Earth is the {} Ocean.", "Pacific", "Arctic"),
    ("How many minutes are there in an hour?", "There are {} minutes in an hour.", "sixty", "forty"),
    ("What do we use to tell the time?", "We use a {} to tell the time.", "clock", "spoon"),
    (
        "Which gas do people need to breathe?",
        "People need to breathe {}, which is part of the air.",
        "oxygen",
        "helium",
    ),
)

#: question, answer that does what it says, answer that does not.
_INSTRUCTIONS = (
    ("Name a fruit in one word.", "Banana.", "There are a great many fruits, and I would not know where to begin."),
    ("Say good morning politely.", "Good morning! I hope you slept well.", "Go away, I am busy."),
    ("List three colours.", "Red, blue and green.", "Red is a nice colour, and so is red, and also red."),
    ("Give one tip for better sleep.", "Go to bed at the same time every night.", "Drink a lot of coffee at midnight."),
    ("Thank a friend for a gift.", "Thank you so much, I really like it!", "Fine. I already had one of those."),
    ("Describe snow in one sentence.", "Snow is soft, white and cold.", "Snow. Snow. Snow. Snow. Snow. Snow. Snow."),
    ("Which is heavier, a car or a cup?", "A car is much heavier than a cup.", "A cup is much heavier than a car."),
    ("Finish the sentence: The cat sat on", "the mat.", "because of the government of the year 1703."),
)


def write_pairs(path: Path, count: int = 64) -> None:
    """Writes pairs as JSONL with id, prompt, chosen and rejected, in an order that mixes the kinds.

    Args:
        path: The file.
        count: The number of pairs.
    """
    generator = random.Random(0)
    rows = [_fact(*fact) for fact in _FACTS] + [_instruction(*instruction) for instruction in _INSTRUCTIONS]
    rows += [_sum(generator, number) for number in range(max(0, count - len(rows)))]
    generator.shuffle(rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows[:count]), "utf-8")


def _fact(question: str, answer: str, right: str, wrong: str) -> dict[str, str]:
    return _row(f"fact-{right.lower()}", question, answer.format(right), answer.format(wrong))


def _instruction(question: str, good: str, bad: str) -> dict[str, str]:
    return _row("instruction-" + question.split()[0].lower() + f"-{len(question)}", question, good, bad)


def _sum(generator: random.Random, number: int) -> dict[str, str]:
    """Two steps; the rejected answer takes the second one wrong and carries the mistake to its end."""
    name, things = generator.choice(_NAMES), generator.choice(_THINGS)
    bags, each, more = generator.randint(2, 9), generator.randint(2, 9), generator.randint(2, 20)
    wrong = bags * each + more + generator.choice((-10, -3, 4, 7, 20))
    question = f"{name} has {bags} bags with {each} {things} each and finds {more} more. How many {things} is that?"
    first = f"{bags} bags with {each} {things} are {bags} x {each} = {bags * each} {things}."

    def answer(total: int) -> str:
        return f"{first} With {more} more that is {bags * each} + {more} = {total}. The answer is {total}."

    return _row(f"sum-{number}", question, answer(bags * each + more), answer(abs(wrong)))


def _row(name: str, prompt: str, chosen: str, rejected: str) -> dict[str, str]:
    return {"id": name, "prompt": prompt, "chosen": chosen, "rejected": rejected}
