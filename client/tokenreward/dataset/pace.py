"""How fast work goes, and when it will be over: nothing is said before it can be known.

Results come in bursts, and the first one is late because a worker may still be starting. So the pace is what came
between the beginning of the first burst and that of the last one. A wait that is longer than any before it, as while
the service is away, counts too.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

#: Seconds between two marks, at least.
_BETWEEN = 1.0
#: Seconds between the first and the last mark before anything is said.
_ENOUGH = 2.0
#: The last marks that count, so that a change of speed is seen.
_MARKS = 64


class Pace:
    """The pace of work whose whole size is known."""

    def __init__(self, work: int, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin.

        Args:
            work: The size of all that is to be done.
            clock: The time in seconds.
        """
        self._clock = clock
        self._work, self._done, self._tokens = work, 0, 0
        self._marks: deque[tuple[float, int, int]] = deque(maxlen=_MARKS)  # (when, work before, tokens before)
        self._longest = 0.0

    def advance(self, tokens: int, work: int) -> None:
        """Note that some work is done.

        Args:
            tokens: Its tokens.
            work: Its size.
        """
        now = self._clock()
        if not self._marks or now - self._marks[-1][0] >= _BETWEEN:
            self._longest = max(self._longest, now - self._marks[-1][0] if self._marks else 0.0)
            self._marks.append((now, self._done, self._tokens))
        self._done += work
        self._tokens += tokens

    @property
    def tokens_per_second(self) -> float | None:
        """The tokens of a second, or None before that can be known."""
        seconds = self._seconds()
        return None if seconds is None else (self._marks[-1][2] - self._marks[0][2]) / seconds

    @property
    def seconds_left(self) -> float | None:
        """The seconds until all work is done, or None before that can be known."""
        seconds = self._seconds()
        if seconds is None:
            return None
        done = self._marks[-1][1] - self._marks[0][1]
        return max(0, self._work - self._done) * seconds / done if done else None

    def _seconds(self) -> float | None:
        """Return the seconds that the work between the first and the last mark took, if they are enough."""
        if len(self._marks) < 2 or self._marks[-1][0] - self._marks[0][0] < _ENOUGH:
            return None
        (first, *_), (last, *_) = self._marks[0], self._marks[-1]
        return max(last, self._clock() - self._longest) - first
