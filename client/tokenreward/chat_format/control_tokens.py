"""A tokenizer's control tokens, told apart from text that only looks like them.

Every control token has a secret name, drawn at random when the tokenizer is loaded. What a chat template writes as
`<|im_end|>` is renamed before it is tokenized, so it becomes the control token. The same characters in a prompt or a
response are not renamed, so they stay text.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property


class ControlTokens:
    """The control tokens of one tokenizer and their secret names.

    Args:
        ids: The id of each control token, by its text.

    Attributes:
        ids: As above.
        names: The secret name of each control token, by its text.
    """

    def __init__(self, ids: Mapping[str, int]) -> None:
        self.ids = dict(ids)
        secret = secrets.token_hex(8)
        self.names = {text: f"\ue000{secret}.{number}\ue001" for text, number in self.ids.items()}
        self._name = re.compile(f"\ue000{secret}\\.(\\d+)\ue001")
        self._token = _any_of(self.ids)
        self._start = re.compile(f"(?={self._token.pattern})(.)", re.DOTALL)

    @cached_property
    def texts(self) -> dict[int, str]:
        """The text of each control token, by its id."""
        return {number: text for text, number in self.ids.items()}

    def named(self, text: str) -> str:
        """`text` with every control token under its secret name."""
        return self._token.sub(lambda found: self.names[found[0]], text)

    def are_in(self, texts: Iterable[str]) -> bool:
        """Whether one of `texts` holds something that looks like a control token."""
        return any(self._token.search(text) for text in texts)

    def broken_up(self, messages: Sequence[Mapping[str, str]]) -> tuple[list[dict[str, str]], str]:
        """The messages with a mark inside everything that looks like a control token, and that mark.

        The mark keeps look-alikes from being renamed, whatever a chat template does to the text. It is a character that
        occurs in none of the messages, to be removed once the control tokens are renamed.
        """
        mark = _unused_character(text for message in messages for text in message.values())
        return [{key: self._start.sub(rf"\g<1>{mark}", text) for key, text in m.items()} for m in messages], mark

    def first(self, named: str) -> tuple[int | None, str]:
        """The id of the first control token in a text that is renamed already, and the text before it.

        Returns:
            `(None, "")` if there is no control token in it.
        """
        found = self._name.search(named)
        return (int(found[1]), named[: found.start()]) if found else (None, "")

    def without(self, named: str) -> str:
        """A text that is renamed already, its control tokens left out."""
        return self._name.sub("", named)


def _any_of(texts: Iterable[str]) -> re.Pattern[str]:
    """Matches any of `texts`, the longest first, and nothing if there are none."""
    longest_first = sorted(texts, key=len, reverse=True)
    return re.compile("(?:" + ("|".join(map(re.escape, longest_first)) or r"(?!)") + ")")


def _unused_character(texts: Iterable[str]) -> str:
    """A private-use character that occurs in none of `texts`."""
    used = set().union(*texts)
    return next(chr(code) for code in range(0xF0000, 0xFFFFE) if chr(code) not in used)
