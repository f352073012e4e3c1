"""SGLang's `POST /generate` with `return_logprob`.

SGLang reads its cache up to `logprob_start_len` by itself. Shapes: SGLang 0.5.23, `sglang/srt/managers/io_struct.py`
and `sglang/srt/managers/scheduler_components/logprob_result_processor.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tokenreward.schema import Include
from tokenreward_workers.engines.remote.ask import Ask, UnusableAnswer
from tokenreward_workers.scoring import Candidates, Row
from tokenreward_workers.wanted import Wanted


class SglangWire:
    """See the module."""

    path = "/generate"
    several = True
    never: tuple[Include, ...] = ("moments",)

    def body(self, asks: Sequence[Ask], model: str, salt: str | None) -> Mapping[str, Any]:
        wanted = asks[0].wanted
        body: dict[str, Any] = {
            "input_ids": [ask.ids for ask in asks],
            "sampling_params": {"temperature": 0, "max_new_tokens": 1},
            "return_logprob": True,
            "logprob_start_len": [ask.start - 1 for ask in asks],
        }
        if wanted.top:
            body["top_logprobs_num"] = wanted.top
        if wanted.ids is not None:
            body["token_ids_logprob"] = wanted.ids.array[0].tolist()
        return body

    def lacks(self, wanted: Wanted) -> str | None:
        if wanted.moments:
            return "moments of the predictions"
        one_list = wanted.ids is None or bool((wanted.ids.array == wanted.ids.array[0]).all())
        return None if one_list else "named ids that differ from token to token"

    def rows(self, answer: Any, asks: Sequence[Ask]) -> list[Row | None]:
        try:
            found = [result["meta_info"] for result in answer]
            return [_row(meta, ask) for meta, ask in zip(found, asks, strict=True)]
        except (KeyError, TypeError, ValueError) as error:
            raise UnusableAnswer(f"no `input_token_logprobs` for {len(asks)} prompts ({error!r})") from error


def _row(meta: Mapping[str, Any], ask: Ask) -> Row | None:
    """The row behind the first entry, which has no log-prob; None if it is of other tokens."""
    found = meta["input_token_logprobs"][1:]
    if [entry[1] for entry in found] != ask.response or any(entry[0] is None for entry in found):
        return None
    top = _candidates(meta["input_top_logprobs"]) if ask.wanted.top else None
    named = None if ask.wanted.ids is None else _candidates(meta["input_token_ids_logprobs"])
    return Row(np.array([entry[0] for entry in found], dtype=np.float32), top=top, named=named)


def _candidates(places: Any) -> Candidates:
    found = np.array([[entry[:2] for entry in place] for place in places[1:]], dtype=np.float64)
    return Candidates(found[:, :, 1].astype(np.int32), found[:, :, 0].astype(np.float32))
