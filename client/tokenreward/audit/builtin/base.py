"""The items of a built-in set, and the marks by which its material says what may be wrong: `«right|wrong»`."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from importlib import resources
from typing import Any, NamedTuple

from tokenreward.audit.sets import Span

_MARK = re.compile(r"«([^|»]*)\|([^»]*)»")


@dataclass(frozen=True)
class Twin:
    """One prompt, a right answer, and the same answer with one error.

    Attributes:
        id: Its name.
        prompt: The prompt.
        clean: The right answer.
        corrupted: The answer with the error.
        bad: Where the error is, in characters of `corrupted`.
    """

    id: str
    prompt: str
    clean: str
    corrupted: str
    bad: tuple[Span, ...]


class Story(NamedTuple):
    """A prompt, and an answer with marks."""

    prompt: str
    text: str


def material(name: str) -> dict[str, Any]:
    """Return the content of `name`.toml beside this file."""
    return tomllib.loads(resources.files(__package__).joinpath(f"{name}.toml").read_text("utf-8"))


def marks(text: str) -> int:
    """Return how many errors `text` offers."""
    return len(_MARK.findall(text))


def twin(name: str, prompt: str, text: str, mark: int = 0) -> Twin:
    """Return the item that `text` becomes when one of its marks goes wrong and the others stay right.

    White space at the ends of the error is not part of its span.

    Args:
        name: The item's id.
        prompt: The prompt.
        text: The answer with its marks.
        mark: Which of them goes wrong.
    """
    clean = _MARK.sub(lambda found: found[1], text)
    found = list(_MARK.finditer(text))[mark]
    before = _MARK.sub(lambda other: other[1], text[: found.start()])
    after = _MARK.sub(lambda other: other[1], text[found.end() :])
    wrong = found[2]
    start = len(before) + len(wrong) - len(wrong.lstrip())
    end = len(before) + len(wrong.rstrip())
    return Twin(name, prompt, clean, before + wrong + after, ((start, end),))
