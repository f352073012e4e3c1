"""Tokenizing a text that goes on from another one, without tokenizing the other one again.

Tokenizers differ in what they do at the start of a text: SentencePiece puts a blank there. So a text is tokenized
behind an anchor, whose ids are then taken away.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tokenreward.chat_format.chat_tokenizer import ChatTokenizer

#: Blanks and line ends do not grow together with it.
_LETTER = "a"


@dataclass(frozen=True, slots=True)
class Anchor:
    """A way to tokenize what follows a generation prompt.

    Attributes:
        lead: The text to tokenize behind.
        lead_ids: Its ids.
        blank_apart: Whether a blank at the start is left out, because the tokenizer puts one there itself.
    """

    lead: str
    lead_ids: tuple[int, ...]
    blank_apart: bool = False

    def text(self, following: str) -> str:
        """The text that is tokenized for what follows."""
        return self.lead + (following.removeprefix(" ") if self.blank_apart else following)

    def ids(self, tokenizer: ChatTokenizer, encoded: list[int], text: str) -> list[int]:
        """The ids of what follows, out of those of `text`, which `self.text` made of it.

        If the tokenizer let anchor and text grow together, as it does with line ends, the text is tokenized behind a
        letter: alone, a tokenizer that puts a blank before every text would put one before the line ends.
        """
        length = len(self.lead_ids)
        if tuple(encoded[:length]) == self.lead_ids:
            return encoded[length:]
        following = text.removeprefix(self.lead)
        letter, behind, alone = tokenizer.encode([_LETTER, _LETTER + following, following])
        return behind[len(letter) :] if behind[: len(letter)] == letter else alone


def anchor_for(tokenizer: ChatTokenizer, prompt: str, followings: Sequence[str]) -> Anchor:
    """The first anchor behind which every text becomes what it becomes in the whole, behind the prompt itself.

    Args:
        tokenizer: The model's tokenizer.
        prompt: A prompt, generation prompt included.
        followings: Texts that may follow it, at least one.
    """
    leads = [tokenizer.anchor, "", "\n", prompt[prompt.rfind("\n", 0, -1) + 1 :][-64:]]
    prompt_ids, *wholes = tokenizer.encode([prompt, *(prompt + following for following in followings)])
    anchors = [
        Anchor(lead, tuple(ids), apart)
        for lead, ids in zip(leads, tokenizer.encode(leads), strict=True)
        for apart in (False, True)
    ]
    for anchor in anchors:
        texts = [anchor.text(following) for following in followings]
        found = [anchor.ids(tokenizer, ids, text) for ids, text in zip(tokenizer.encode(texts), texts, strict=True)]
        if all(prompt_ids + ids == whole for ids, whole in zip(found, wholes, strict=True)):
            return anchor
    return anchors[0]
