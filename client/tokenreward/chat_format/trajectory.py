"""Conversations of which every assistant's turn is scored, as one text of which the turns are known.

What is scored and what stands between is one text, the chat template's own of the whole conversation, and it is
tokenized as a whole. Which tokens are a turn's is found by characters. So the ids are those that the model reads in the
conversation, whatever stands around a turn.

A chat template may write a turn otherwise once more has been said: many leave out earlier thoughts. Then a model in
that turn has read something else than what stands there now, and the conversation is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from tokenreward.chat_format import offsets
from tokenreward.chat_format.alignment import aligned
from tokenreward.chat_format.answer_text import AnswerText
from tokenreward.chat_format.chat_tokenizer import ChatTokenizer
from tokenreward.errors import BadInput
from tokenreward.schema.items import BETWEEN_TURNS

Spans = Sequence[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class TurnText:
    """One assistant's turn in the text of the whole conversation.

    Attributes:
        start: Its first character.
        end: The character behind what ends it.
        answer: What it says.
    """

    start: int
    end: int
    answer: AnswerText


@dataclass(frozen=True, slots=True)
class TrajectoryText:
    """A conversation as the chat template writes it. Control tokens have their secret names.

    Attributes:
        text: The conversation, up to and including what ends the last turn.
        start: Where the first turn that is scored begins.
        turns: The assistant's turns from there on.
    """

    text: str
    start: int
    turns: tuple[TurnText, ...]


@dataclass(frozen=True)
class Trajectory:
    """A conversation with several turns to score, as token ids.

    Attributes:
        prompt: What stands before the first of them, as text with secret names.
        prompt_ids: The ids of that.
        ids: int `[T]`, the ids from there to the end of the last turn.
        turns: int `[T]`, the number of the turn that each of `ids` belongs to; -1 between the turns.
        answers: What each turn says.
    """

    prompt: str
    prompt_ids: list[int]
    ids: list[int]
    turns: list[int]
    answers: tuple[AnswerText, ...]

    @cached_property
    def own(self) -> str:
        """What the turns say, without thoughts and calls, an empty line between any two that say something."""
        return BETWEEN_TURNS.join(answer.own for answer in self.answers if answer.own)

    def pieces(self, tokenizer: ChatTokenizer) -> tuple[list[str], list[tuple[int, int]]]:
        """Each token's own text, and its characters in `own`; a token between the turns has none.

        Args:
            tokenizer: The tokenizer of the ids.
        """
        names, _ = offsets.pieces(tokenizer, self.ids, "")
        spans = [(0, 0)] * len(self.ids)
        place, filled = 0, 0
        for number, answer in enumerate(self.answers):
            tokens = [at for at, turn in enumerate(self.turns) if turn == number]
            if answer.own and place:
                place += len(BETWEEN_TURNS)
            _, inside = answer_pieces(tokenizer, [self.ids[at] for at in tokens], answer)
            first = tokens[0] if tokens else filled
            spans[filled:first] = [(place, place)] * (first - filled)
            for at, (start, end) in zip(tokens, inside, strict=True):
                spans[at] = (place + start, place + end)
            filled = tokens[-1] + 1 if tokens else filled
            place += len(answer.own)
        return names, spans


def answer_pieces(
    tokenizer: ChatTokenizer, ids: Sequence[int], answer: AnswerText
) -> tuple[list[str], list[tuple[int, int]]]:
    """Each token's own text, and its characters in the text of an answer (see `offsets.pieces`)."""
    if answer.verbatim:
        return offsets.pieces(tokenizer, ids, answer.own, answer.place)
    names, spans = offsets.pieces(tokenizer, ids, answer.said)
    return names, aligned(spans, answer.said, answer.sought, answer.place)


def tokenized(tokenizer: ChatTokenizer, read: TrajectoryText) -> Trajectory:
    """The ids of a conversation, and the turn that each of them belongs to.

    Args:
        tokenizer: The model's tokenizer.
        read: The conversation.

    Raises:
        BadInput: The tokenizer joins the first turn with what stands before it.
    """
    prompt = read.text[: read.start]
    (before,) = tokenizer.encode([prompt])
    ids, spans = tokenizer.located("", read.text)
    if list(ids[: len(before)]) != before:
        raise BadInput(
            "the model's tokenizer joins the first turn that is scored with what stands before it; score one turn at "
            "a time (`score` = 'last')"
        )
    following, turns = list(ids[len(before) :]), turns_of(spans[len(before) :], read.turns)
    last = read.turns[-1].answer
    if last.eos is not None:
        following, turns = [*following, last.eos], [*turns, len(read.turns) - 1]
    return Trajectory(prompt, before, following, turns, tuple(turn.answer for turn in read.turns))


def turns_of(spans: Spans, turns: Sequence[TurnText]) -> list[int]:
    """The number of the turn that each token touches, int `[T]`; -1 for a token that touches none.

    Args:
        spans: The characters of each token. One without characters, as a blank that a tokenizer puts in, stands where
            it stands.
        turns: The turns, in the order of the text.
    """
    assert all(one.end <= other.start for one, other in pairwise(turns)), "turns do not overlap"
    found, number = [], 0
    for start, end in spans:
        while number < len(turns) and turns[number].end <= start:
            number += 1
        inside = number < len(turns) and turns[number].start < max(end, start + 1)
        found.append(number if inside else -1)
    return found


def refused(number: int, why: str) -> BadInput:
    """The error of a conversation of which a turn cannot be scored together with the others.

    Args:
        number: The turn, from 0.
        why: What the chat template does.
    """
    return BadInput(
        f"turn {number} of the assistant: {why}. A way out is to score one turn at a time (`score` = 'last', what was "
        "said before it in the prompt)"
    )
