"""How the log-probs of given tokens are asked for, and how they are read back.

vLLM has two model runners. V2 is the one on GPUs; it scores the tokens that a request names from a start row on, and
nothing else (`TokenIdAsking`). V1 is the one of the CPU build; it returns a row for every prompt token
(`WholePromptAsking`). Both compute only the rows that the prefix cache does not cover, and say nothing about the
others. So every answer is checked to have been computed for this very request, and `row` is None where it was not.

What is wanted beside log-probs neither runner has. Code of ours in vLLM's worker process computes it (`batched_head`,
`v1_rows`), and is told of it in the request's `extra_args`.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from tokenreward_workers.engines.vllm.cache_bound import FIRST_ROW
from tokenreward_workers.engines.vllm.requests import Request
from tokenreward_workers.engines.vllm.wanted_arguments import wanted_arguments
from tokenreward_workers.scoring import Row


class Asking(Protocol):
    """One model runner's way of scoring given tokens."""

    def options(self, request: Request) -> dict[str, Any]:
        """Say what a branch's `SamplingParams` need beyond the common ones."""

    def row(self, output: Any, request: Request) -> Row | None:
        """Read the response's row; None unless all of it was computed for this request."""


class TokenIdAsking:
    """Model runner V2: `prompt_logprob_token_ids` from `prompt_logprob_start` on (vLLM >= 0.31).

    The LM head runs on the response's rows only. vLLM drops the answer of a request whose prefill began behind its
    start row, because of a cache hit or after a preemption.
    """

    def options(self, request: Request) -> dict[str, Any]:
        targets = np.asarray(request.ids[request.start :], dtype=np.int32)[:, None]
        return {"prompt_logprob_token_ids": targets, "prompt_logprob_start": request.start - 1}

    def row(self, output: Any, request: Request) -> Row | None:
        return _columns_as_row(output, request)


class WholePromptAsking:
    """Model runner V1: `prompt_logprobs` of the whole prompt, as flat lists.

    Rows that the cache covered come back as uninitialised memory. Three signs tell, because none alone is enough: the
    request says how much was cached when it first ran, a computed row names the token it is of and has a rank of at
    least 1, and a request that was preempted may have read rows from the cache later.
    """

    def options(self, request: Request) -> dict[str, Any]:
        return {} if request.wanted else {"prompt_logprobs": 0, "flat_logprobs": True}

    def row(self, output: Any, request: Request) -> Row | None:
        if request.wanted:
            return _columns_as_row(output, request)
        found = output.prompt_logprobs
        if found is None or len(found.start_indices) != len(request.ids):
            return None
        if (output.num_cached_tokens or 0) >= request.start:
            return None
        if request.cached and output.metrics.num_preemptions:
            return None
        at = [found.start_indices[position] for position in range(request.start, len(request.ids))]
        if [found.token_ids[n] for n in at] != request.ids[request.start :]:
            return None
        if any(not found.ranks[n] or found.ranks[n] < 1 for n in at):
            return None
        return Row(np.array([found.logprobs[n] for n in at], dtype=np.float32))


def _columns_as_row(output: Any, request: Request) -> Row | None:
    """Read the columns that our code in vLLM's worker process gave; without anything wanted, vLLM's own one."""
    found = output.prompt_token_id_logprobs
    if found is None or found.shape != (len(request.ids) - request.start, request.wanted.width):
        return None
    if (output.num_cached_tokens or 0) >= request.start:
        return None
    return Row.of(found, request.wanted)


def common_options(request: Request) -> dict[str, Any]:
    """Say what every request's `SamplingParams` have: one token, greedily, and nothing turned into text."""
    options: dict[str, Any] = {
        "max_tokens": 1,
        "temperature": 0.0,
        "detokenize": False,
        "skip_reading_prefix_cache": not request.cached,
    }
    if request.branch is not None:
        bounded = {FIRST_ROW: request.start - 1} if request.cached else {}
        options["extra_args"] = {**bounded, **wanted_arguments(request.start - 1, request.wanted)}
    return options
