"""TODO: what this module owns."""

from __future__ import annotations

from dataclasses import dataclass

import jinja2

from tokenreward.chat_format.chat_tokenizer import ChatTokenizer

#: Stands for an answer where the chat template's own text around it is looked for. No template trims it.
_ANSWER = "qzANSWERzq"


@dataclass(frozen=True, slots=True)
class _Turn:
    """What the chat template puts around an answer, after the generation prompt.

    before, after: text, usually none.  end: the end-of-turn token's id, None if the model has none.
    anchor: what to tokenize the answer behind, so that no tokenizer takes it for the start of a text, and the
        ids of that.
    """

    before: str = ""
    after: str = ""
    end: int | None = None
    anchor: str = ""
    anchor_ids: tuple[int, ...] = ()

    def ids(self, tokenizer: ChatTokenizer, ids: list[int], text: str) -> list[int]:
        """The answer's ids out of those of anchor and answer; tokenized alone if the two grew together."""
        length = len(self.anchor_ids)
        if tuple(ids[:length]) == self.anchor_ids:
            return ids[length:]
        return tokenizer.encode([text.removeprefix(self.anchor)])[0]


def _turn(tokenizer: ChatTokenizer) -> _Turn:
    """Read off the chat template: what stands between the generation prompt, an answer, and the end of its turn.

    Tokenizers differ in what they do at the start of a text (SentencePiece puts a blank there), so of the ways to
    tokenize an answer alone, the first is taken that gives the ids of the whole conversation.
    """
    question = [{"role": "user", "content": "a"}]
    try:
        prompt = tokenizer.render(question)
        whole = tokenizer.render([*question, {"role": "assistant", "content": _ANSWER}], generation_prompt=False)
    except jinja2.TemplateError:
        prompt, whole = "", _ANSWER
    if not whole.startswith(prompt):  # the template writes the prompt differently once it is answered
        whole = prompt + whole[whole.index(_ANSWER) :]
    before, _, rest = whole[len(prompt) :].partition(_ANSWER)
    end, after = tokenizer.first_special(rest)
    if end is None:
        end, after = tokenizer.special.get(tokenizer.special_tokens.get("eos_token", "")), ""
    prompt_ids, expected = tokenizer.encode([prompt, prompt + before + _ANSWER + after])
    turns = [
        _Turn(lead, after, end, anchor, tuple(tokenizer.encode([anchor])[0]))
        for anchor in (tokenizer.anchor, "", "\n")
        for lead in (before, before.removeprefix(" "))
    ]
    for turn in turns:
        answer = turn.anchor + turn.before + _ANSWER + turn.after
        if prompt_ids + turn.ids(tokenizer, tokenizer.encode([answer])[0], answer) == expected:
            return turn
    return turns[0]
