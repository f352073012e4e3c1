"""How a pass of the transformers engine grows: what it has already is not counted again."""

from __future__ import annotations

import random

from tokenreward_workers.engines.base import ListFeed
from tokenreward_workers.engines.packed.growth import Growth
from tokenreward_workers.engines.packed.tree import pack
from tokenreward_workers.engines.packed.window import Window
from tokenreward_workers.scoring import Scoring


def ids(seed: object, count: int) -> tuple[int, ...]:
    dice = random.Random(str(seed))
    return tuple(dice.randrange(1000) for _ in range(count))


def siblings(question: int, answers: int = 5) -> list[Scoring]:
    """Every answer to a question behind each of the others."""
    hints = {n: ids((question, "hint", n), 80) for n in range(answers)}
    return [
        Scoring(
            ids(question, 150),
            {f"shown[{n}]": hint for n, hint in hints.items() if n != own},
            ids((question, own), 50),
        )
        for own in range(answers)
    ]


def test_the_size_of_a_pass_is_that_of_its_pack() -> None:
    work = [*siblings(1), *siblings(2), *siblings(1)[:2]]
    random.Random(0).shuffle(work)
    growth = Growth(work[0])
    for number, scoring in enumerate(work[1:], 2):
        assert growth.takes(scoring, 10**6)
        assert growth.size == len(pack(enumerate(work[:number])).ids)


def test_a_pass_exceeds_its_budget_only_for_what_it_mostly_has() -> None:
    first, second, *_ = siblings(1)
    budget = Growth(first).size
    assert not Growth(first).takes(siblings(2)[0], budget + 10)
    growth = Growth(first)
    assert growth.takes(second, budget)
    assert budget < growth.size <= 2 * budget
    assert not Growth(first).takes(second, budget // 2)


def test_the_answers_to_a_question_are_read_in_one_pass_with_each_other_as_hints() -> None:
    work = siblings(1)
    window = Window(ListFeed(work))
    window.fill(1024)
    chosen = window.next_pass(1024)
    assert len(chosen) == len(work)
    assert len(pack(chosen).ids) == 150 + 5 * 80 + 20 * 49
