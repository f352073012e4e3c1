"""The parser that every command uses: argparse, with a guess at what a wrong option or choice was meant to be.

It is at the bottom because the commands of all components use it.
"""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Iterable, Sequence
from typing import NoReturn

#: Lines of a usage, beyond which it would hide the message below it.
_LONG_USAGE = 3


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors say which option or choice may be meant. Its own options are never shortened."""

    def __init__(self, *arguments: object, **options: object) -> None:
        options.setdefault("allow_abbrev", False)
        super().__init__(*arguments, **options)  # type: ignore[arg-type]

    def error(self, message: str) -> NoReturn:
        """Print the message, with what may be meant, below a usage that is short, and end with status 2."""
        usage = self.format_usage()
        if usage.count("\n") > _LONG_USAGE:
            usage = f"`{self.prog} --help` lists the options.\n"
        self.exit(2, f"{usage}{self.prog}: error: {message}{self._meant(message)}\n")

    def _meant(self, message: str) -> str:
        if unknown := re.match(r"unrecognized arguments: (.*)", message):
            given = [word.partition("=")[0] for word in unknown[1].split() if word.startswith("--")]
            return "".join(did_you_mean(word, self._options()) for word in given)
        if choice := re.search(r"invalid choice: '(.*?)' \(choose from (.*)\)", message):
            return did_you_mean(choice[1], re.findall(r"[\w.-]+", choice[2]))
        return ""

    def _options(self) -> list[str]:
        """Return the options of this parser and of its actions."""
        parsers = [self]
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):
                parsers += action.choices.values()
        return [name for parser in parsers for name in parser._option_string_actions]


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `; did you mean X?` for the known word that is most like `word`, or nothing."""
    close = difflib.get_close_matches(word, list(known), 1)
    return f"; did you mean {close[0]}?" if close else ""


def positive(text: str) -> int:
    """Return a whole number above 0, for argparse.

    Raises:
        ArgumentTypeError: It is none.
    """
    if not text.isascii() or not text.isdigit() or not (number := int(text)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return number


def pair(text: str) -> tuple[str, str]:
    """Return the two sides of `NAME=VALUE`, for argparse.

    Raises:
        ArgumentTypeError: It is no such pair.
    """
    name, equals, value = text.partition("=")
    if not name or not equals or not value:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


def columns(text: str) -> dict[str, str]:
    """Return `NAME=COLUMN,NAME=COLUMN` as a mapping, for argparse. A column may be left out.

    Raises:
        ArgumentTypeError: It has another form, or names one thing twice.
    """
    found: dict[str, str] = {}
    for part in text.split(","):
        name, equals, column = (piece.strip() for piece in part.partition("="))
        if not name or not equals or name in found or (column and column in found.values()):
            raise argparse.ArgumentTypeError(f"{text!r} is not NAME=COLUMN,NAME=COLUMN, with each named once")
        found[name] = column
    return found


def listed(names: Sequence[str]) -> str:
    """Return names for a help text: `a, b and c`."""
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else "".join(names)
