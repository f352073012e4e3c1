"""Telling whoever asked for it that the service is away, and that it is back."""

from __future__ import annotations

from collections.abc import Callable

#: Called with the reason before a request is sent again, and with None once an answer has come.
OnTrouble = Callable[[str | None], None]


class Trouble:
    """Whether the last request came to nothing."""

    def __init__(self, told: OnTrouble | None) -> None:
        self._told = told
        self._met = False

    def met(self, reason: str) -> None:
        """Note that a request came to nothing and will be sent again."""
        self._met = True
        if self._told is not None:
            self._told(reason)

    def over(self) -> None:
        """Note that an answer came."""
        if self._met and self._told is not None:
            self._told(None)
        self._met = False
