"""vLLM's `POST /v1/completions` with `prompt_logprobs`. Every router and gateway passes it on.

vLLM reads no cached prefix for such a request, so the branches of a scoring share nothing; a tokenreward endpoint
shares them all the same. Shapes: vLLM 0.32, `vllm/entrypoints/openai/completion/protocol.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tokenreward.schema import Include
from tokenreward_workers.engines.remote.ask import Ask, UnusableAnswer
from tokenreward_workers.scoring import Candidates, Row
from tokenreward_workers.wanted import Wanted


class CompletionsWire:
    """See the module."""

    path = "/v1/completions"
    several = True
    never: tuple[Include, ...] = ("moments", "named")

    def body(self, asks: Sequence[Ask], model: str, salt: str | None) -> Mapping[str, Any]:
        top = asks[0].wanted.top
        sampling = {"max_tokens": 1, "temperature": 0, "prompt_logprobs": top, "add_special_tokens": False}
        return {"model": model, "prompt": [ask.ids for ask in asks], **sampling}

    def lacks(self, wanted: Wanted) -> str | None:
        if wanted.moments:
            return "moments of the predictions"
        return None if wanted.ids is None else "named ids (the wire vllm-generate gives them where vLLM runs on GPUs)"

    def rows(self, answer: Any, asks: Sequence[Ask]) -> list[Row | None]:
        try:
            choices = sorted(answer["choices"], key=lambda choice: choice["index"])
            return [prompt_row(choice["prompt_logprobs"], ask) for choice, ask in zip(choices, asks, strict=True)]
        except (KeyError, TypeError, ValueError) as error:
            raise UnusableAnswer(f"no `choices` with `prompt_logprobs` for {len(asks)} prompts ({error!r})") from error


def prompt_row(prompt_logprobs: Any, ask: Ask) -> Row | None:
    """Read a sequence's row out of vLLM's `prompt_logprobs`.

    Returns:
        The row; None if a place is missing, is of another token, has a rank below 1, or fewer of the likeliest tokens
        than were asked for: vLLM did not compute it.
    """
    if len(prompt_logprobs) != len(ask.ids):
        return None
    own, best = [], []
    for place, token in enumerate(ask.response, ask.start):
        entries = prompt_logprobs[place] or {}
        given = entries.get(str(token))
        if given is None or (given.get("rank") is not None and given["rank"] < 1):
            return None
        own.append(given["logprob"])
        if ask.wanted.top:
            ranked = [
                (e["rank"], int(name), e["logprob"]) for name, e in entries.items() if e["rank"] <= ask.wanted.top
            ]
            if len(ranked) != ask.wanted.top:
                return None
            best.append(sorted(ranked))
    top = None
    if ask.wanted.top:
        found = np.array(best)
        top = Candidates(found[:, :, 1].astype(np.int32), found[:, :, 2].astype(np.float32))
    return Row(np.array(own, dtype=np.float32), top=top)
