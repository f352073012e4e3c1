"""vLLM's `POST /inference/v1/generate`, tokens in and tokens out (`vllm serve --enable-scale-out`).

Its `sampling_params` are the engine's own, so a request may read the prefix cache and turns nothing into text. A
server with vLLM's V2 model runner scores the named tokens from a start row on, and nothing else; one with V1 refuses
that (400), and returns a row for every token of the prompt instead. Shapes: vLLM 0.32,
`vllm/entrypoints/scale_out/token_in_token_out/protocol.py` and `vllm/sampling_params.py`.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tokenreward_workers.engines.remote.ask import Ask, UnusableAnswer
from tokenreward_workers.engines.remote.wires.vllm_completions import given_tokens
from tokenreward_workers.scoring import LogProbs


class TokensWire:
    """See the module. named: whether the server scores tokens by name, as its V2 model runner does."""

    path = "/inference/v1/generate"
    several = False

    def __init__(self, *, named: bool) -> None:
        self.named = named

    def body(self, asks: Sequence[Ask], model: str, salt: str | None) -> Mapping[str, Any]:
        (ask,) = asks
        wanted: dict[str, Any] = {"prompt_logprobs": 0}
        if self.named:
            targets = [[token] for token in ask.ids[ask.start :]]
            wanted = {"prompt_logprob_token_ids": targets, "prompt_logprob_start": ask.start - 1}
        return self._request(ask.ids, model, salt, wanted)

    def prefix(self, ids: list[int], model: str, salt: str) -> Mapping[str, Any]:
        """Write a request that only fills the cache: its rows never see the LM head."""
        return self._request(ids, model, salt, {})

    def rows(self, answer: Any, asks: Sequence[Ask]) -> list[LogProbs | None]:
        (ask,) = asks
        try:
            if not self.named:
                return [given_tokens(answer["prompt_logprobs"], ask)]
            packed = answer["prompt_token_id_logprobs"]
            if packed is None:  # vLLM drops them where the cache covered the start row
                return [None]
            found = np.load(io.BytesIO(base64.b64decode(packed)), allow_pickle=False)
            return [np.ascontiguousarray(found.reshape(len(ask.ids) - ask.start), dtype=np.float32)]
        except (KeyError, TypeError, ValueError) as error:
            raise UnusableAnswer(f"no prompt log-probs of {len(ask.ids)} tokens ({error!r})") from error

    def _request(self, ids: list[int], model: str, salt: str | None, wanted: Mapping[str, Any]) -> Mapping[str, Any]:
        sampling = {"max_tokens": 1, "temperature": 0, "detokenize": False, "skip_reading_prefix_cache": salt is None}
        salted = {} if salt is None else {"cache_salt": salt}
        return {"model": model, "token_ids": ids, "sampling_params": {**sampling, **wanted}, **salted}
