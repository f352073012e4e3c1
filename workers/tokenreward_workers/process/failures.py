"""What the threads of a worker could not go on with, and how the first failure ends the process in order."""

from __future__ import annotations

import os
import signal


class Failures:
    """Ends the worker at its first failure, as SIGTERM would.

    Only the first one sends the signal, and none does once the worker is ending. RQ takes a second signal as an order
    to drop everything: what was scored would be lost, and the rest would not be handed back.

    Attributes:
        errors: What threads ended with, the first one first.
        ending: Whether the worker has begun to end.
    """

    def __init__(self) -> None:
        self.errors: list[BaseException] = []
        self.ending = False

    def add(self, error: BaseException) -> None:
        """Take note that a thread cannot go on."""
        first = not self.errors and not self.ending
        self.errors.append(error)
        if first:
            os.kill(os.getpid(), signal.SIGTERM)
