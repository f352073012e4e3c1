"""vLLM's `POST /v1/completions` with `prompt_logprobs`. Every router and gateway passes it on.

vLLM reads no cached prefix for such a request, so the branches of a scoring share nothing; a tokenreward endpoint
shares them all the same. Shapes: vLLM 0.32, `vllm/entrypoints/openai/completion/protocol.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tokenreward_workers.engines.remote.ask import Ask, UnusableAnswer
from tokenreward_workers.scoring import LogProbs


class CompletionsWire:
    """See the module."""

    path = "/v1/completions"
    several = True

    def body(self, asks: Sequence[Ask], model: str, salt: str | None) -> Mapping[str, Any]:
        sampling = {"max_tokens": 1, "temperature": 0, "prompt_logprobs": 0, "add_special_tokens": False}
        return {"model": model, "prompt": [ask.ids for ask in asks], **sampling}

    def rows(self, answer: Any, asks: Sequence[Ask]) -> list[LogProbs | None]:
        try:
            choices = sorted(answer["choices"], key=lambda choice: choice["index"])
            return [given_tokens(choice["prompt_logprobs"], ask) for choice, ask in zip(choices, asks, strict=True)]
        except (KeyError, TypeError, ValueError) as error:
            raise UnusableAnswer(f"no `choices` with `prompt_logprobs` for {len(asks)} prompts ({error!r})") from error


def given_tokens(prompt_logprobs: Any, ask: Ask) -> LogProbs | None:
    """Read the log-probs of a sequence's response out of vLLM's `prompt_logprobs`.

    Returns:
        float32 `[T]`; None if a row is missing, is of another token, or has a rank below 1: vLLM did not compute it.
    """
    if len(prompt_logprobs) != len(ask.ids):
        return None
    found = []
    for place in range(ask.start, len(ask.ids)):
        entry = (prompt_logprobs[place] or {}).get(str(ask.ids[place]))
        if entry is None or (entry.get("rank") is not None and entry["rank"] < 1):
            return None
        found.append(entry["logprob"])
    return np.array(found, dtype=np.float32)
