"""Which requests may share a server's prefix cache, so that a cached prefix never reaches into scored rows.

vLLM computes no row that its cache covers, and what comes back in its place is not always to be told from a log-prob.
In our own process its lookup is told where to stop; over a wire only the cache's salt is ours. So a request shares a
salt with earlier ones only if none of them begins like it beyond its prompt.
"""

from __future__ import annotations

from bisect import bisect_left
from uuid import uuid4

import numpy as np

from tokenreward_workers.engines.remote.ask import Ask

#: After this many sequences a new salt is begun, so that the list of them stays short.
_MOST_SEQUENCES = 1000
_BYTES = 4


class CacheSalts:
    """Hands out salts, and remembers what was sent under the present one."""

    def __init__(self) -> None:
        self._begin()

    def of(self, ask: Ask) -> str:
        """Return the salt of a request: the present one, or one of its own where it might read its own scored rows."""
        if len(self._sent) >= _MOST_SEQUENCES:
            self._begin()
        key = np.asarray(ask.ids, dtype=">i4").tobytes()
        at = bisect_left(self._sent, key)
        # In sorted order, no other sequence begins more like this one than its neighbours do.
        if any(_shared(key, other) >= ask.start for other in self._sent[max(0, at - 1) : at + 1]):
            return uuid4().hex
        self._sent.insert(at, key)
        return self.present

    def first_time(self, prefix: tuple[int, ...]) -> bool:
        """Return whether a prefix has not been sent ahead under the present salt, and take note that it is now."""
        new = prefix not in self._prefixes
        self._prefixes.add(prefix)
        return new

    def _begin(self) -> None:
        self.present = uuid4().hex
        self._sent: list[bytes] = []
        self._prefixes: set[tuple[int, ...]] = set()


def _shared(one: bytes, other: bytes) -> int:
    """How many ids two sequences begin with in common."""
    length = min(len(one), len(other))
    if one[:length] == other[:length]:
        return length // _BYTES
    a, b = (np.frombuffer(key[:length], dtype=">i4") for key in (one, other))
    return int(np.argmax(a != b))
