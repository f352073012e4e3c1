"""The last number of a text, as people and models write numbers, and when it is the answer."""

from __future__ import annotations

from typing import Any

import pytest

from tokenreward_trainer.scorers.final_number import final_number, right


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("The answer is 42.", 42),
        ("2 + 3 = 5", 5),
        ("From 1,000,000 to 2", 2),
        ("minus: -7", -7),
        ("7-3", 3),
        ("3-4", 4),
        ("(10)-2", 2),
        (".5 of it", 0.5),
        ("#### 72", 72),
        ("no number", None),
        ("", None),
        ("1,23", 23),
        ("3.", 3),
        ("答案是12", 12),
        ("1.2.3", 1.2),
        # Signs.
        ("\u22127", -7),
        ("it is \u20135", -5),
        ("3\u20134", 4),
        ("x = - 5", -5),
        ("- 5 apples", 5),
        ("-**5**", -5),
        # Currencies and units.
        ("It costs $1,234.50 in all.", 1234.5),
        ("-$5", -5),
        ("$-5", -5),
        ("\u2212€3.50", -3.5),
        ("£3 per day", 3),
        ("USD5", 5),
        ("Rs. 500", 500),
        ("about 7 €", 7),
        ("\\$5", 5),
        ("50%", 50),
        ("100\\%", 100),
        ("12 cm^2", 12),
        ("12 cm²", 12),
        ("12 \\text{ cm}^2", 12),
        ("12 m2", 12),
        ("12 tons of CO2", 12),
        # Thousands.
        ("1 000 000 people", 1_000_000),
        ("1\u202f000", 1000),
        ("1\u2009234", 1234),
        ("1\u00a0234.5", 1234.5),
        ("1{,}234", 1234),
        ("1\\,234", 1234),
        ("1,\\!234", 1234),
        ("1_000", 1000),
        ("1'000", 1000),
        ("12,34,567", 1_234_567),
        # Powers.
        ("1e5", 100_000),
        ("1.5E-2", 0.015),
        ("1.5×10^3", 1500),
        ("1.5 x 10^3", 1500),
        ("1.5 \\times 10^{3}", 1500),
        ("10^{3}", 1000),
        ("1.5 × 10³", 1500),
        ("2×10⁻²", 0.02),
        ("3^2 + 4^2 = 25", 25),
        # Fractions.
        ("1/2", 0.5),
        ("\\frac{1}{2}", 0.5),
        ("-\\frac{3}{4}", -0.75),
        ("\\frac{-1}{2}", -0.5),
        ("\\dfrac12", 0.5),
        ("3-\\frac{1}{2}", 0.5),
        ("1 1/2", 1.5),
        ("1½", 1.5),
        ("= 24/3", 8),
        ("on 12/25/2024", 2024),
        ("5/0", 0),
        # Markup.
        ("**12**", 12),
        ("**-5**", -5),
        ("\\boxed{12} in 3 steps", 12),
        ("\\boxed{\\frac{1}{2}}", 0.5),
        ("first \\boxed{1}, then \\boxed{2}. 3", 2),
        ("\\boxed{x} = 5", None),
        ("\\(x=-3\\)", -3),
        ("5 \\cdot 3 = 15", 15),
        # Exactly.
        ("9007199254740993", 9007199254740993),
        ("9" * 5000, None),
    ],
)
def test_the_last_number_of_a_text(text: str, number: float | None) -> None:
    assert final_number(text) == number


@pytest.mark.parametrize(
    ("text", "answer", "score"),
    [
        ("1000001", 1_000_000, 0.0),
        ("1000000.5", 1_000_000, 0.0),
        ("9007199254740993", 9007199254740992, 0.0),
        ("7.9999999", 8, 1.0),
        ("72.0", "#### 72", 1.0),
        ("1,000", 1000.0, 1.0),
        ("10000000000000000", 1e16, 1.0),
        ("0.333333", "1/3", 1.0),
        ("0.33", "1/3", 0.0),
        ("0.5", "\\frac{1}{2}", 1.0),
        ("3/4", 4, 0.0),
        ("2e-7", "1e-7", 0.0),
        ("0.0000001", 0, 0.0),
        ("\u2212$1{,}200", "-1 200", 1.0),
        ("50%", "50", 1.0),
    ],
)
def test_whole_answers_are_exact_and_others_close(text: str, answer: Any, score: float) -> None:
    assert right(text, answer) == score
