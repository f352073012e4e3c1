"""TODO: what this module owns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tokenreward_workers.scoring import Scoring

#: A shorter prefix is not worth a request of its own, in tokens.
_WORTH_SENDING_AHEAD = 64


@dataclass(frozen=True, slots=True)
class _Pending:
    """One branch of one scoring, as a request; or a prefix sent ahead, whose branch is None.

    start: index of the first response token in the prompt.  cached: whether it may read the prefix cache.
    """

    index: int
    branch: str | None
    ids: list[int]
    start: int
    cached: bool


def _requests(work: Sequence[Scoring], cached: bool) -> Iterator[_Pending]:
    """Every branch of `work`, those that begin alike one after the other, each prefix ahead of its branches."""
    before: tuple[int, ...] = ()
    for index in sorted(range(len(work)), key=lambda n: (work[n].prefix, min(work[n].branches.values()))):
        scoring = work[index]
        if cached and len(scoring.prefix) >= _WORTH_SENDING_AHEAD and scoring.prefix != before:
            yield _Pending(index, None, list(scoring.prefix), 0, cached=True)
        before = scoring.prefix
        for branch, rest in scoring.branches.items():
            prompt = [*scoring.prefix, *rest]
            yield _Pending(index, branch, [*prompt, *scoring.response], len(prompt), cached)


def _complete(output: Any, pending: _Pending) -> np.ndarray | None:
    """float32 [T], or None unless every row of the response was computed for this very request.

    vLLM leaves rows that its cache covered as uninitialised memory. Three signs, because none alone is enough:
    it says how much was cached when the request first ran, a computed row names the token it is of and has a
    rank of at least 1, and a request that was preempted may have read rows from the cache later.
    """
    found = output.prompt_logprobs
    if found is None or len(found.start_indices) != len(pending.ids):
        return None
    if (output.num_cached_tokens or 0) >= pending.start:
        return None
    if getattr(output.metrics, "num_preemptions", 0) and pending.cached:
        return None
    at = [found.start_indices[position] for position in range(pending.start, len(pending.ids))]
    if [found.token_ids[n] for n in at] != pending.ids[pending.start :]:
        return None
    if any(not found.ranks[n] or found.ranks[n] < 1 for n in at):
        return None
    return np.array([found.logprobs[n] for n in at], dtype=np.float32)
