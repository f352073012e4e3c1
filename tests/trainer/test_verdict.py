"""A judge's reply, in whatever words, is a verdict or none; probabilities are read where the verdict stands."""

from __future__ import annotations

import math
from typing import Any

import pytest

from tokenreward_trainer.evaluation.judging.verdict import by_letter, by_probability


@pytest.mark.parametrize(
    ("reply", "preference"),
    [
        ("A", 1.0),
        (" b.\n", 0.0),
        ("**C**", 0.5),
        ("(A)", 1.0),
        ("Answer: B", 0.0),
        ("The better answer is A.", 1.0),
        ("Answer B is better.", 0.0),
        ("I looked at A and B with care.\n\n[[B]]", 0.0),
        ("First [[A]], and again [[A]]", 1.0),
        ("[[A]] or [[B]]", None),
        ("A good answer would be B", None),
        ("Both are fine", None),
        ("", None),
        ("D", None),
        ("AB", None),
        # In free words.
        ("This is a close call. B", 0.0),
        ("Answer A is longer, but B is right. Verdict: B", 0.0),
        ("A is longer, but B is right", 0.0),
        ("I prefer Answer A", 1.0),
        ("I prefer answer A over B.", 1.0),
        ("Between A and B, I'd say B.", 0.0),
        ("the better answer is **B**", 0.0),
        ("**Verdict:** B", 0.0),
        ('{"verdict": "B"}', 0.0),
        ("<answer>B</answer>", 0.0),
        ("Winner: Answer A", 1.0),
        ("Response B wins.", 0.0),
        ("Answer **A** is better", 1.0),
        ("B because it is clearer", 0.0),
        ("B\n\nAnswer B is clearer.", 0.0),
        ("A is better on facts. Overall, B is better.", 0.0),
        ("A has errors. So the answer is B.", 0.0),
        ("\\boxed{A}", 1.0),
        ("So \\boxed{\\text{B}} it is", 0.0),
        ("Final verdict: [[Answer B]]", 0.0),
        # Ties.
        ("tie", 0.5),
        ("It's a tie.", 0.5),
        ("Verdict: tie", 0.5),
        ("They are equally good.", 0.5),
        ("Both answers are equally good. C", 0.5),
        ("It is not a tie", None),
        # Thoughts.
        ("<think>The user wants A. Verdict: A</think>\n\nB", 0.0),
        ("so A?</think>B", 0.0),
        ("<think>Verdict: A", None),
        # Articles, mentions, doubts.
        ("a close call", None),
        ("A close call", None),
        ("I looked at A and B with care.", None),
        ("A is right, but B is right too", None),
        ("A is not better than B", None),
        ("Whether A is better depends", None),
        ("I wonder if answer A is better", None),
        ("I would not choose A", None),
        ("My answer: A good response would be short", None),
        ("Answer A: fine.\nAnswer B: poor.", None),
        ("Vitamin C is good", None),
        ("The answer is C++ code", None),
    ],
)
def test_a_reply_is_a_verdict_only_if_it_can_mean_nothing_else(reply: str, preference: float | None) -> None:
    assert by_letter(reply) == preference


def token(text: str, chance: float, *others: tuple[str, float]) -> dict[str, Any]:
    tops = [{"token": name, "logprob": math.log(part)} for name, part in [(text, chance), *others]]
    return {"token": text, "logprob": math.log(chance), "top_logprobs": tops}


def test_letters_are_weighed_by_their_probabilities() -> None:
    found = by_probability([token("A", 0.5, (" a", 0.1), ("B", 0.2), ("C", 0.1), ("The", 0.1))])
    assert found == pytest.approx((0.6 + 0.1 / 2) / 0.9)
    # The letter need not come first, and its likeliest token decides where it stands.
    assert by_probability([token("\n", 0.9, ("A", 0.1)), token(" B", 1.0)]) == 0.0
    assert by_probability([token("Both", 1.0)]) is None
    assert by_probability([{"token": "C", "logprob": 0.0, "top_logprobs": []}]) == 0.5


@pytest.mark.parametrize(
    "words",
    [
        ["This", " is", " a", " close", " call", ".", " B"],
        ["<think>", "The", " user", " wants", " a", " recipe", ".", "</think>", "\n\n", "B"],
        ["Answer", " A", " is", " longer", ",", " but", " B", " is", " right", ".", " Verdict", ":", " B"],
        ["▁The", "▁better", "▁answer", "▁is", "▁B"],
        ["The", "Ġverdict", ":", "Ġ**B"],
        ["I", " prefer", " Answer", " (B"],
    ],
)
def test_the_token_that_is_weighed_is_the_verdict_s(words: list[str]) -> None:
    *before, last = words
    tokens = [token(word, 0.9, ("A", 0.1)) for word in before] + [token(last, 0.6, (last.replace("B", "A"), 0.2))]
    assert by_probability(tokens) == pytest.approx(0.2 / 0.8)


def test_alternatives_are_no_verdict_where_the_reply_is_none() -> None:
    words = ["This", " is", " a", " close", " call", "."]
    assert by_probability([token(word, 0.9, ("A", 0.1)) for word in words]) is None


def test_a_thought_that_the_server_cut_out_is_not_weighed() -> None:
    tokens = [token(word, 1.0) for word in ("Verdict", ":", " A", "?", " B")]
    assert by_probability(tokens, "B") == 0.0
    assert by_probability(tokens[:3], "") is None  # It thought until it was cut off.
