"""The warning for options that work but are rarely meant."""

from __future__ import annotations


class DoubtfulOption(UserWarning):
    """An option works but is rarely meant; the message says what to do."""
