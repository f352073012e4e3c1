"""Saying during a run that the service is away, and that it is back."""

from __future__ import annotations

import time
from collections.abc import Callable

from tokenreward.html.escaping import visible


class Outages:
    """Tells a person of each outage once. It is what a client's `on_trouble` calls."""

    def __init__(self, note: Callable[[str], None], patience: float) -> None:
        """Begin without an outage.

        Args:
            note: Says something to a person.
            patience: For how many seconds the client goes on trying.
        """
        self._note = note
        self._patience = patience
        self._since: float | None = None

    def __call__(self, reason: str | None) -> None:
        """Note that a request came to nothing for a reason, or that an answer came again."""
        if reason is None and self._since is not None:
            self._note(f"the service is back after {time.monotonic() - self._since:.0f} s")
            self._since = None
        elif reason is not None and self._since is None:
            self._since = time.monotonic()
            first = visible(reason.splitlines()[0] if reason else "no answer")
            self._note(f"no answer from the service ({first}); trying again for up to {self._patience:.0f} s")
