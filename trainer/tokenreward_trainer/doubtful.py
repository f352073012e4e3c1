"""TODO: what this module owns."""

from __future__ import annotations


class DoubtfulOption(UserWarning):
    """An option that works but is rarely meant; the message says what to do."""
