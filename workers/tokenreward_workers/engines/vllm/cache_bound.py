"""How much of the prefix cache a scoring request may read: no further than its first scored row.

vLLM computes no row that its cache covers, and a row that is not computed has no log-prob. Where the cache reaches
into the scored rows, as for a second response to one prompt whose length is a multiple of the block size, a request
would come back without its answer and have to be scored again in full. vLLM has no option for that (its V2 runner
drops such requests, `v1/worker/gpu/sample/prompt_logprob.py`), so its lookup is told here where to stop; the request
then computes one block again at most. To be removed when vLLM bounds the lookup by `prompt_logprob_start` itself.
"""

from __future__ import annotations

from typing import Any

#: In `SamplingParams.extra_args`: the first prompt row whose log-prob is wanted.
FIRST_ROW = "tokenreward_first_row"


def bound_cache_hits() -> None:
    """Change vLLM's lookup in this process, EngineCore's. Harmless for requests without `FIRST_ROW`."""
    from vllm.v1.core.kv_cache_manager import KVCacheManager

    lookup = KVCacheManager.get_computed_blocks
    if getattr(lookup, "bounded", False):
        return

    def bounded(self: Any, request: Any) -> Any:
        extra = (request.sampling_params and request.sampling_params.extra_args) or {}
        first = extra.get(FIRST_ROW)
        return lookup(self, request if first is None else _Shortened(request, first + 1))

    bounded.bounded = True  # type: ignore[attr-defined]
    KVCacheManager.get_computed_blocks = bounded


class _Shortened:
    """A request that says that it has fewer tokens, and is itself in everything else."""

    def __init__(self, request: Any, tokens: int) -> None:
        self._request = request
        self.num_tokens = tokens  # a hit covers `num_tokens - 1` of them at most

    def __getattr__(self, name: str) -> Any:
        return getattr(self._request, name)
