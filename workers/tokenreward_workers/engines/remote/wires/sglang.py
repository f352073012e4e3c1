"""SGLang's `POST /generate` with `return_logprob`.

SGLang reads its cache up to `logprob_start_len` by itself. Shapes: SGLang 0.5.23, `sglang/srt/managers/io_struct.py`
and `sglang/srt/managers/scheduler_components/logprob_result_processor.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tokenreward_workers.engines.remote.ask import Ask, UnusableAnswer
from tokenreward_workers.scoring import LogProbs


class SglangWire:
    """See the module."""

    path = "/generate"
    several = True

    def body(self, asks: Sequence[Ask], model: str, salt: str | None) -> Mapping[str, Any]:
        return {
            "input_ids": [ask.ids for ask in asks],
            "sampling_params": {"temperature": 0, "max_new_tokens": 1},
            "return_logprob": True,
            "logprob_start_len": [ask.start - 1 for ask in asks],
        }

    def rows(self, answer: Any, asks: Sequence[Ask]) -> list[LogProbs | None]:
        try:
            lists = [result["meta_info"]["input_token_logprobs"] for result in answer]
            return [_response(entries, ask) for entries, ask in zip(lists, asks, strict=True)]
        except (KeyError, TypeError, ValueError) as error:
            raise UnusableAnswer(f"no `input_token_logprobs` for {len(asks)} prompts ({error!r})") from error


def _response(entries: Any, ask: Ask) -> LogProbs | None:
    """The rows behind the first one, which has no log-prob; None if they are of other tokens."""
    found = entries[1:]
    if [entry[1] for entry in found] != ask.ids[ask.start :] or any(entry[0] is None for entry in found):
        return None
    return np.array([entry[0] for entry in found], dtype=np.float32)
