"""A model's tokenizer in the form that chats need: it knows control tokens by their secret names only."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import cached_property

from tokenizers import Tokenizer

from tokenreward.chat_format.control_tokens import ControlTokens, any_of
from tokenreward.errors import BadInput


class ChatTokenizer:
    """A copy of the model's tokenizer that gives the same ids, but calls control tokens by their secret names.

    Args:
        serialized: The JSON of the model's `tokenizers.Tokenizer`.

    Attributes:
        serialized: As above.
        control: The control tokens, which are the tokenizer's special tokens. One of a single character could not be
            told from text, so it is not among them.

    Raises:
        BadInput: The tokenizer cannot be used.
    """

    def __init__(self, serialized: str) -> None:
        self.serialized = serialized
        content = json.loads(serialized)
        added = content["added_tokens"]
        self.control = ControlTokens({t["content"]: t["id"] for t in added if t["special"] and len(t["content"]) > 1})
        plain = any_of(t["content"] for t in added if not t["special"] and t["content"].strip())
        #: Finds added tokens that are no control tokens, one behind the other; they are recognised in any text.
        self.added = re.compile(f"{plain.pattern}+")
        #: The ids of all added tokens, control tokens among them.
        self.added_ids = frozenset(t["id"] for t in added)
        # Behind a token that swallows the blanks that follow it, a text would lose its own.
        greedy = {token["content"] for token in added if token["rstrip"]}
        #: The secret name of some control token to tokenize behind; empty if the tokenizer has none.
        self.anchor = next((name for text, name in self.control.names.items() if text not in greedy), "")
        #: The JSON of the decoder: how entries of the vocabulary become text.
        self.decoder = json.dumps(content.get("decoder"))
        self._tokenizer = _renamed(serialized, self.control.names)
        for text, number in self.control.ids.items():
            if self._tokenizer.token_to_id(self.control.names[text]) != number:
                raise BadInput("the ids of this tokenizer's special tokens do not survive being read again")

    @cached_property
    def vocabulary(self) -> int:
        """Ids are in `[0, vocabulary)`."""
        return int(self._tokenizer.get_vocab_size(with_added_tokens=True))

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of each text. No control token is added, and none is recognised except by its secret name."""
        return [encoding.ids for encoding in self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)]

    def located(self, lead: str, text: str) -> tuple[tuple[int, ...], list[tuple[int, int]]]:
        """The ids of `text` behind `lead`, and the characters that each stands for, whatever a normaliser made of them.

        Returns:
            The ids, and the `[start, end)` of each in `text`. Both are empty if lead and text grew together.
        """
        before = self._tokenizer.encode(lead, add_special_tokens=False).ids
        encoding = self._tokenizer.encode(lead + text, add_special_tokens=False)
        if encoding.ids[: len(before)] != before:
            return (), []
        spans = [(max(0, a - len(lead)), max(0, b - len(lead))) for a, b in encoding.offsets[len(before) :]]
        return tuple(encoding.ids[len(before) :]), spans

    def decode(self, ids: Sequence[int]) -> str:
        """The text of `ids`, control tokens left out."""
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=True))

    def text(self, ids: Sequence[int]) -> str:
        """The text of `ids`, control tokens under their real names."""
        return self.control.real(str(self._tokenizer.decode(list(ids), skip_special_tokens=False)))

    def token(self, token_id: int) -> str:
        """The vocabulary's entry; the real text of a control token; empty for an id that does not exist."""
        return self.control.texts.get(token_id) or str(self._tokenizer.id_to_token(token_id) or "")

    def is_control(self, token_id: int) -> bool:
        """Whether the id is a control token's."""
        return token_id in self.control.texts


def _renamed(serialized: str, names: Mapping[str, str]) -> Tokenizer:
    """The same tokenizer with the same ids, control tokens called by `names`."""
    content = json.loads(serialized)
    for token in content["added_tokens"]:
        if token["content"] in names:
            token["content"] = names[token["content"]]
            token["normalized"] = False
    model = content["model"]
    vocabulary = model["vocab"]
    if isinstance(vocabulary, dict):
        model["vocab"] = {names.get(text, text): number for text, number in vocabulary.items()}
    else:  # A Unigram model has [text, score] in the order of ids.
        model["vocab"] = [[names.get(text, text), score] for text, score in vocabulary]
    if model.get("unk_token") in names:
        model["unk_token"] = names[model["unk_token"]]
    content |= {"truncation": None, "padding": None, "post_processor": None}
    return Tokenizer.from_str(json.dumps(content, ensure_ascii=False))
