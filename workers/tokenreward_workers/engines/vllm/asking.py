"""How the rows of given tokens are asked for, and how they are read back.

vLLM has two model runners. V2 is the one on GPUs; it scores the tokens that a request names from a start row on, and
nothing else (`TokenIdAsking`). V1 is the one of the CPU build; it would return a row for every prompt token, as Python
objects, so the rows are computed by code of ours in its worker process instead (`OwnRowsAsking`, `v1_rows`). Neither
computes rows that the prefix cache covers. A request without an answer of its own length is scored again.

What is wanted beside log-probs neither runner has. Our code computes it in both (`batched_head`, `v1_rows`).
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


class TokenIdAsking:
    """Model runner V2: `prompt_logprob_token_ids` from `prompt_logprob_start` on (vLLM >= 0.31).

    The LM head runs on the response's rows only. vLLM drops the answer of a request whose prefill began behind its
    start row, because of a cache hit or after a preemption.
    """

    def options(self, request: Request) -> dict[str, Any]:
        targets = np.asarray(request.ids[request.start :], dtype=np.int32)[:, None]
        wanted = wanted_arguments(request.start - 1, request.wanted) if request.wanted else {}
        return {
            "prompt_logprob_token_ids": targets,
            "prompt_logprob_start": request.start - 1,
            "extra_args": _bound(request) | wanted,
        }


class OwnRowsAsking:
    """Model runner V1: rows of the response alone, which `v1_rows` computes behind each step."""

    def options(self, request: Request) -> dict[str, Any]:
        return {"extra_args": _bound(request) | wanted_arguments(request.start - 1, request.wanted)}


def read_row(output: Any, request: Request) -> Row | None:
    """Read the response's row; None unless all of it was computed for this request."""
    found = output.prompt_token_id_logprobs
    if found is None or found.shape != (len(request.ids) - request.start, request.wanted.width):
        return None
    if (output.num_cached_tokens or 0) >= request.start:
        return None
    return Row.of(found, request.wanted)


def common_options(request: Request) -> dict[str, Any]:
    """Say what every request's `SamplingParams` have: one token, greedily, and nothing turned into text."""
    return {
        "max_tokens": 1,
        "temperature": 0.0,
        "detokenize": False,
        "skip_reading_prefix_cache": not request.cached,
    }


def _bound(request: Request) -> dict[str, Any]:
    """Say how far a branch may read the cache, if it may read it at all."""
    return {FIRST_ROW: request.start - 1} if request.cached else {}
