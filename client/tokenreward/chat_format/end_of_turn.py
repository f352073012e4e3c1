"""What a chat template puts around an answer, and which token ends its turn. Both are read off the template."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tokenreward.chat_format.chat_tokenizer import ChatTokenizer
from tokenreward.chat_format.template import PROBE
from tokenreward.errors import BadInput

#: Renders messages, the second argument says whether with the generation prompt; control tokens have secret names.
Render = Callable[[Sequence[dict[str, str]], bool], str]


@dataclass(frozen=True, slots=True)
class Turn:
    """What surrounds an answer, after the generation prompt.

    Attributes:
        before: The text before the answer, usually none.
        after: The text between the answer and the end-of-turn token, usually none.
        end: The end-of-turn token's id, or None if the model has none.
        anchor: The text that answers are tokenized behind, so that no tokenizer takes one for the start of a text.
        anchor_ids: The anchor's ids.
    """

    before: str
    after: str
    end: int | None
    anchor: str
    anchor_ids: tuple[int, ...]

    def text(self, answer: str, *, finished: bool) -> str:
        """The text that is tokenized for an answer."""
        return self.anchor + self.before + answer + (self.after if finished else "")

    def ids(self, tokenizer: ChatTokenizer, encoded: list[int], text: str, *, finished: bool) -> list[int]:
        """The answer's ids out of those of `text`, which is what `self.text` made of it.

        Args:
            tokenizer: The tokenizer that encoded it.
            encoded: The ids of `text`.
            text: The anchor and the answer. If the tokenizer let the two grow together, the answer is tokenized alone.
            finished: Whether the end-of-turn token follows.
        """
        length = len(self.anchor_ids)
        if tuple(encoded[:length]) == self.anchor_ids:
            ids = encoded[length:]
        else:
            ids = tokenizer.encode([text.removeprefix(self.anchor)])[0]
        return [*ids, self.end] if finished and self.end is not None else ids


def read_turn(tokenizer: ChatTokenizer, render: Render, eos: int | None) -> Turn:
    """Finds what stands between the generation prompt, an answer, and the end of its turn.

    Tokenizers differ in what they do at the start of a text: SentencePiece puts a blank there. So of several ways to
    tokenize an answer apart from its prompt, the first is taken that gives the ids of the whole conversation.

    Args:
        tokenizer: The model's tokenizer.
        render: The model's chat template.
        eos: The id that ends a turn if the template writes no control token behind an answer.
    """
    prompt, before, rest = _surroundings(render)
    end, after = tokenizer.control.first(rest)
    if end is None:
        end = eos
    prompt_ids, expected = tokenizer.encode([prompt, prompt + before + PROBE + after])
    turns = [
        Turn(lead, after, end, anchor, tuple(tokenizer.encode([anchor])[0]))
        for anchor in (tokenizer.anchor, "", "\n")
        for lead in (before, before.removeprefix(" "))
    ]
    for turn in turns:
        text = turn.text(PROBE, finished=True)
        ids = turn.ids(tokenizer, tokenizer.encode([text])[0], text, finished=False)
        if prompt_ids + ids == expected:
            return turn
    return turns[0]


def _surroundings(render: Render) -> tuple[str, str, str]:
    """The prompt of a conversation, and what the template writes before and behind its answer.

    A template that refuses an answer, or does not write it, says nothing about its surroundings.
    """
    question = {"role": "user", "content": "a"}
    try:
        prompt = render([question], True)
        whole = render([question, {"role": "assistant", "content": PROBE}], False)
    except BadInput:
        return "", "", ""
    if PROBE not in whole:
        return "", "", ""
    if whole.startswith(prompt):
        before, _, rest = whole[len(prompt) :].partition(PROBE)
    else:  # The template writes the prompt differently once it is answered.
        before, rest = "", whole.partition(PROBE)[2]
    return prompt, before, rest
