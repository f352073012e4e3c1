"""Which requests may share a server's prefix cache, so that a cached prefix never reaches into scored rows.

vLLM computes no row that its cache covers, and what comes back in its place is not always to be told from a log-prob.
In our own process its lookup is told where to stop; over a wire only the cache's salt is ours. So a request shares a
salt with earlier ones only if none of them begins like it beyond its prompt, and if it begins like none of those that
are not answered yet beyond theirs: it may overtake them.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
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
        key = _key(ask.ids)
        at = bisect_left(self._sent, key)
        # In sorted order, no other sequence begins more like this one than its neighbours do.
        if any(_shared(key, other) >= ask.start for other in self._sent[max(0, at - 1) : at + 1]):
            return uuid4().hex
        if self._covers_waiting(key):
            return uuid4().hex
        self._waiting[key[: ask.start * _BYTES]] += 1
        self._sent.insert(at, key)
        return self.present

    def answered(self, ask: Ask, salt: str) -> None:
        """Take note that nothing more is expected of a request that was given `salt`."""
        if salt == self.present:
            prompt = _key(ask.ids[: ask.start])
            self._waiting[prompt] -= 1
            self._waiting += Counter()  # leaves out what nobody waits for

    def may_go_ahead(self, prefix: tuple[int, ...]) -> bool:
        """Return whether a prefix may be sent ahead under the present salt, and take note that it is.

        It may once, and not if the cache would then cover scored rows of a request that is not answered yet.
        """
        if prefix in self._prefixes or self._covers_waiting(_key(prefix)):
            return False
        self._prefixes.add(prefix)
        return True

    def _covers_waiting(self, key: bytes) -> bool:
        """Whether what is cached of these ids reaches into scored rows of a request that is not answered yet."""
        return any(key.startswith(prompt) for prompt in self._waiting)

    def _begin(self) -> None:
        self.present = uuid4().hex
        self._sent: list[bytes] = []
        self._prefixes: set[tuple[int, ...]] = set()
        #: The prompts of the requests that are not answered yet.
        self._waiting: Counter[bytes] = Counter()


def _key(ids: Sequence[int]) -> bytes:
    return np.asarray(ids, dtype=">i4").tobytes()


def _shared(one: bytes, other: bytes) -> int:
    """How many ids two sequences begin with in common."""
    length = min(len(one), len(other))
    if one[:length] == other[:length]:
        return length // _BYTES
    a, b = (np.frombuffer(key[:length], dtype=">i4") for key in (one, other))
    return int(np.argmax(a != b))
