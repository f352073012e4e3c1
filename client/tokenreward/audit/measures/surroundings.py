"""What stands around a token and needs no model to be known: its step, the length of that step, its kind of word.

These are controls. A label that only knows that late steps, long steps or numbers go wrong finds errors, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from tokenreward.audit.measures.ranks import Flags, Ints
from tokenreward.segments import segments_of, tokens_by_segment

#: Kinds of words. The first is style: what holds a sentence together. The others are what it says.
KINDS = ("function words and marks", "numbers", "names", "other words")
STYLE, NUMBER, NAME, OTHER = range(len(KINDS))

#: English words that belong to the grammar. A text in another language has hardly any of them.
_FUNCTION_WORDS = frozenset(resources.files(__package__).joinpath("function_words.txt").read_text("utf-8").split())
#: Behind these, a capital letter begins a sentence and need not be a name's.
_SENTENCE_START = re.compile(r"(?:^|[.!?:…\n])[\s\"'“”‘’()\[\]*_#>-]*$")


@dataclass(frozen=True)
class Surroundings:
    """What stands around the `T` tokens of one response.

    Attributes:
        step: int64 `[T]`, the number of the token's step, from 0. Blanks belong to the step before them.
        step_length: int64 `[T]`, the tokens of that step.
        kind: int64 `[T]`, an index into KINDS.
        steps: How many steps there are.
    """

    step: Ints
    step_length: Ints
    kind: Ints
    steps: int

    @classmethod
    def unknown(cls, tokens: int) -> Surroundings:
        """Return what is said of that many tokens whose text is not known: one step, and one kind of word."""
        same = np.zeros(tokens, dtype=np.int64)
        return cls(same, same + tokens, same, 1)


def surroundings_of(text: str, offsets: NDArray[np.int64]) -> Surroundings:
    """Return what stands around each token.

    Args:
        text: A response.
        offsets: int `[T, 2]`, the characters that each token covers.
    """
    pairs = _pairs(offsets)
    steps = tokens_by_segment(pairs, segments_of(text, "step"), text)
    step = np.zeros(len(pairs), dtype=np.int64)
    for number, own in enumerate(steps):
        step[own] = number
    step = np.maximum.accumulate(step) if len(step) else step
    kind = np.full(len(pairs), STYLE, dtype=np.int64)
    words = segments_of(text, "word")
    for (start, end), own in zip(words, tokens_by_segment(pairs, words, text), strict=True):
        kind[own] = kind_of(text, start, end)
    return Surroundings(step, np.bincount(step, minlength=1)[step], kind, len(steps))


def kind_of(text: str, start: int, end: int) -> int:
    """Return the kind of the word `text[start:end]`, an index into KINDS."""
    word = text[start:end]
    if any(letter.isdigit() for letter in word):
        return NUMBER
    if not any(letter.isalpha() for letter in word) or word.lower() in _FUNCTION_WORDS:
        return STYLE
    if word[0].isupper() and not _SENTENCE_START.search(text[max(0, start - 8) : start]):
        return NAME
    return OTHER


def repeated(text: str, offsets: NDArray[np.int64], shown: Iterable[str]) -> Flags:
    """Return which tokens belong to a word that stands in a shown text, too, bool `[T]`.

    Args:
        text: A response.
        offsets: int `[T, 2]`, the characters that each token covers.
        shown: What the model was shown beside the prompt.
    """
    known = {other[start:end].lower() for other in shown for start, end in segments_of(other, "word")}
    words = segments_of(text, "word")
    found = np.ones(len(offsets), dtype=bool)
    for (start, end), own in zip(words, tokens_by_segment(_pairs(offsets), words, text), strict=True):
        found[own] = text[start:end].lower() in known
    return found


def _pairs(offsets: NDArray[np.int64]) -> Sequence[tuple[int, int]]:
    return [(int(start), int(end)) for start, end in offsets]
