"""A tokenizer's control tokens, told apart from text that only looks like them.

Every control token has a secret name, drawn at random when the tokenizer is loaded. What a chat template writes as
`<|im_end|>` is renamed before it is tokenized, so it becomes the control token. The same characters in a prompt or a
response are not renamed, so they stay text.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any


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
        self._token = any_of(self.ids)
        self._start = re.compile(f"(?={self._token.pattern})(.)", re.DOTALL)

    @cached_property
    def texts(self) -> dict[int, str]:
        """The text of each control token, by its id."""
        return {number: text for text, number in self.ids.items()}

    def named(self, text: str) -> str:
        """`text` with every control token under its secret name."""
        return self._token.sub(lambda found: self.names[found[0]], text)

    def are_in(self, value: Any) -> bool:
        """Whether some text of a JSON value holds something that looks like a control token."""
        return any(self._token.search(text) for text in texts_in(value))

    def broken_up(self, value: Any, mark: str, spared: re.Pattern[str] | None = None) -> Any:
        """A JSON value with a mark inside everything that looks like a control token.

        The mark keeps look-alikes from being renamed, whatever a chat template does to the text.

        Args:
            value: The value; what is not text stays as it is.
            mark: A character that occurs nowhere in the value, see `mark_for`.
            spared: What stays whole all the same.
        """
        if isinstance(value, str):
            pieces = [value] if spared is None else spared.split(value)  # odd places hold what is spared
            return "".join(
                piece if n % 2 else self._start.sub(rf"\g<1>{mark}", piece) for n, piece in enumerate(pieces)
            )
        if isinstance(value, Mapping):
            return {self.broken_up(k, mark): self.broken_up(inner, mark, spared) for k, inner in value.items()}
        if isinstance(value, list | tuple):
            return [self.broken_up(inner, mark, spared) for inner in value]
        return value

    def first(self, named: str) -> re.Match[str] | None:
        """The first control token in a text that is renamed already."""
        return self._name.search(named)

    def run(self, named: str, start: int) -> list[re.Match[str]]:
        """The control tokens that stand one behind the other from `start` on, in a text that is renamed already."""
        found = []
        while (token := self._name.match(named, start)) is not None:
            found.append(token)
            start = token.end()
        return found

    def last(self, named: str) -> re.Match[str] | None:
        """The last control token in a text that is renamed already."""
        return next(reversed(list(self._name.finditer(named))), None)

    def blanked(self, text: str) -> str:
        """`text`, blanks in place of everything that looks like a control token."""
        return self._token.sub(lambda found: " " * len(found[0]), text)

    def without(self, named: str) -> str:
        """A text that is renamed already, its control tokens left out."""
        return self._name.sub("", named)

    def real(self, named: str) -> str:
        """A text that is renamed already, its control tokens under their real names again."""
        return self._name.sub(lambda found: self.texts[int(found[1])], named)

    def whole(self, named: str, length: int) -> int:
        """`length`, or less where the text would be cut inside a secret name."""
        start = named.rfind("\ue000", 0, length)
        found = self._name.match(named, start) if start >= 0 else None
        return start if found is not None and found.end() > length else length


def any_of(texts: Iterable[str]) -> re.Pattern[str]:
    """Matches any of `texts`, the longest first, and nothing if there are none."""
    longest_first = sorted(texts, key=len, reverse=True)
    return re.compile("(?:" + ("|".join(map(re.escape, longest_first)) or r"(?!)") + ")")


def mark_for(value: Any) -> str:
    """A private-use character that occurs in no text of a JSON value."""
    used = set().union(*texts_in(value))
    return next(chr(code) for code in range(0xF0000, 0xFFFFE) if chr(code) not in used)


def without_mark(text: str, mark: str) -> str:
    """What a template made of marked text, without the mark. Written as JSON, the mark may stand there escaped."""
    return text.replace(mark, "").replace(json.dumps(mark)[1:-1], "")


def texts_in(value: Any) -> Iterator[str]:
    """Every text of a JSON value, keys included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from texts_in(key)
            yield from texts_in(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from texts_in(inner)
