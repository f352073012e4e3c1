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

from tokenreward.schema import Include
from tokenreward_workers.engines.remote.ask import Ask, UnusableAnswer
from tokenreward_workers.engines.remote.wires.vllm_completions import prompt_row
from tokenreward_workers.scoring import Candidates, Row
from tokenreward_workers.wanted import Wanted


class TokensWire:
    """See the module. named: whether the server scores tokens by name, as its V2 model runner does."""

    path = "/inference/v1/generate"
    several = False

    def __init__(self, *, named: bool) -> None:
        self.named = named

    @property
    def never(self) -> tuple[Include, ...]:
        return ("moments",) if self.named else ("moments", "named")

    def body(self, asks: Sequence[Ask], model: str, salt: str | None) -> Mapping[str, Any]:
        (ask,) = asks
        wanted: dict[str, Any] = {"prompt_logprobs": ask.wanted.top}
        if self._by_name(ask):
            targets = np.array(ask.response)[:, None]
            if ask.wanted.ids is not None:
                targets = np.concatenate([targets, ask.wanted.ids.array], axis=1)
            wanted = {"prompt_logprob_token_ids": targets.tolist(), "prompt_logprob_start": ask.start - 1}
        return self._request(ask.ids, model, salt, wanted)

    def lacks(self, wanted: Wanted) -> str | None:
        if wanted.moments:
            return "moments of the predictions"
        if wanted.ids is not None and wanted.top:
            return "named ids and the likeliest ones in one request"
        return (
            "named ids: its server runs vLLM's V1 model runner" if wanted.ids is not None and not self.named else None
        )

    def prefix(self, ids: list[int], model: str, salt: str) -> Mapping[str, Any]:
        """Write a request that only fills the cache: its rows never see the LM head."""
        return self._request(ids, model, salt, {})

    def rows(self, answer: Any, asks: Sequence[Ask]) -> list[Row | None]:
        (ask,) = asks
        try:
            if not self._by_name(ask):
                return [prompt_row(answer["prompt_logprobs"], ask)]
            packed = answer["prompt_token_id_logprobs"]
            if packed is None:  # vLLM drops them where the cache covered the start row
                return [None]
            found = np.load(io.BytesIO(base64.b64decode(packed)), allow_pickle=False)
            found = found.astype(np.float32).reshape(len(ask.response), 1 + ask.wanted.named)
        except (KeyError, TypeError, ValueError) as error:
            raise UnusableAnswer(f"no prompt log-probs of {len(ask.ids)} tokens ({error!r})") from error
        ids = ask.wanted.ids
        return [Row(found[:, 0].copy(), named=None if ids is None else Candidates(ids.array, found[:, 1:].copy()))]

    def _by_name(self, ask: Ask) -> bool:
        return self.named and not ask.wanted.top

    def _request(self, ids: list[int], model: str, salt: str | None, wanted: Mapping[str, Any]) -> Mapping[str, Any]:
        sampling = {"max_tokens": 1, "temperature": 0, "detokenize": False, "skip_reading_prefix_cache": salt is None}
        salted = {} if salt is None else {"cache_salt": salt}
        return {"model": model, "token_ids": ids, "sampling_params": {**sampling, **wanted}, **salted}
