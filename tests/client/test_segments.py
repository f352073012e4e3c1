"""Words, sentences, lines and steps: cuts that are right for numbers, emoji, CJK and code, and pooled values."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenreward.segments import KINDS, pooled, segment_values, segments_of, tokens_by_segment


def pieces(text: str, kind: str) -> list[str]:
    return [text[a:b] for a, b in segments_of(text, kind)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It is 1.813, or 1,000.", ["It", "is", "1.813", ",", "or", "1,000", "."]),
        ("don’t 50% 1e-5 12:30", ["don’t", "50%", "1e-5", "12:30"]),
        ("我喜欢猫。", ["我", "喜", "欢", "猫", "。"]),
        ("a 👩‍👩‍👧‍👦b 👍🏽!", ["a", "👩‍👩‍👧‍👦", "b", "👍🏽", "!"]),
        ("cafe\u0301 x", ["cafe\u0301", "x"]),
        ("🇩🇪🇫🇷", ["🇩🇪", "🇫🇷"]),
        ("1\ufe0f\u20e3 x", ["1\ufe0f\u20e3", "x"]),
        (
            "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f!",
            ["\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f", "!"],
        ),
        ("हिन्दी है", ["हिन्दी", "है"]),
        ("شَدَّ", ["شَدَّ"]),
        ("x_1 = f(a)", ["x_1", "=", "f", "(", "a", ")"]),
    ],
)
def test_words_are_what_a_reader_calls_words(text: str, expected: list[str]) -> None:
    assert pieces(text, "word") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It costs 1.5 euros. He paid! Why?", ["It costs 1.5 euros.", "He paid!", "Why?"]),
        ("Dr. Who came, e.g. today. “Yes.” He left.", ["Dr. Who came, e.g. today.", "“Yes.”", "He left."]),
        ("他来了。她走了！", ["他来了。", "她走了！"]),
        ("Heading\n\nText here", ["Heading", "Text here"]),
        ("no stop", ["no stop"]),
        ("One.\nTwo.", ["One.", "Two."]),
    ],
)
def test_sentences_end_at_stops_that_end_sentences(text: str, expected: list[str]) -> None:
    assert pieces(text, "sentence") == expected


def test_steps_are_blocks_and_lines_where_there_are_no_blocks() -> None:
    assert pieces("First\nstill first\n\nSecond\n", "step") == ["First\nstill first", "Second"]
    assert pieces("2 + 2 = 4\n4 * 3 = 12\n", "step") == ["2 + 2 = 4", "4 * 3 = 12"]
    assert pieces("A\r\nB\r\n\r\nC", "step") == ["A\r\nB", "C"]
    assert pieces("a\n\n  b = 1\n", "line") == ["a", "b = 1"]


@given(st.text(max_size=80), st.sampled_from(KINDS))
def test_segments_are_in_order_and_hold_every_character_that_is_not_blank(text: str, kind: str) -> None:
    found = segments_of(text, kind)
    assert all(a < b for a, b in found)
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(found))
    covered = {n for a, b in found for n in range(a, b)}
    assert {n for n, c in enumerate(text) if not c.isspace()} <= covered


def test_a_token_gets_the_value_of_the_segment_of_its_first_character() -> None:
    text = "one two"
    offsets = [(0, 2), (2, 3), (3, 7), (7, 7)]  # "on", "e", " two", end of turn
    tokens = tokens_by_segment(offsets, segments_of(text, "word"), text)
    assert tokens == [[0, 1], [2]]
    rewards = np.array([0.1, 0.3, -0.2, 0.5], dtype=np.float32)
    for how, first in (("mean", 0.2), ("min", 0.1), ("sum", 0.4)):
        values = segment_values(rewards, tokens, how, 0.5)
        assert values == pytest.approx([first, -0.2])
        assert pooled(rewards, tokens, values) == pytest.approx([first, first, -0.2, 0.5])


def test_sums_are_cut_at_the_bound_of_rewards() -> None:
    values = segment_values(np.array([0.4, 0.4], dtype=np.float32), [[0, 1]], "sum", 0.5)
    assert values == [0.5]
    assert segment_values(np.array([4.0, 4.0]), [[0, 1]], "sum", None) == [8.0]


def test_parts_of_a_character_go_with_their_character() -> None:
    text = "a 🙂"
    offsets = [(0, 1), (1, 3), (2, 3), (2, 3)]
    assert tokens_by_segment(offsets, segments_of(text, "word"), text) == [[0], [1, 2, 3]]


def test_segments_of_the_caller_may_leave_tokens_out() -> None:
    assert tokens_by_segment([(0, 1), (2, 3)], [(2, 3)], "a b") == [[1]]
