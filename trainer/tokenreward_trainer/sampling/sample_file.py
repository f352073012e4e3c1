"""The loop of `tokenreward sample`: prompts in segments, each of which is sampled and written at once.

A segment is always sampled whole and alone, so a run that was killed goes on to the very same file.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tokenreward.dataset.progress import progress_for
from tokenreward.errors import BadInput
from tokenreward_trainer.resumable.hashes import model_hash
from tokenreward_trainer.resumable.segments import (
    Counts,
    FileTask,
    Outcome,
    Row,
    finished,
    in_segments,
    read_rows,
    rows_hash,
)
from tokenreward_trainer.sampling.engines import ENGINES, Engine, Request, installed_version
from tokenreward_trainer.sampling.requests import Policy
from tokenreward_trainer.sampling.settings import Sampling

#: Tokens of a sequence that fit into memory on any machine, so that a shorter limit would save nothing.
_ORDINARY = 8192
#: Settings that say where and how fast, not what is sampled.
_NO_PART = {"gpu_memory"}


def sample_file(
    prompts: Path, out: Path, model: str, settings: Sampling | None = None, progress: bool | None = False
) -> Outcome:
    """Samples responses to every row's `prompt` and writes the rows with a column `responses`.

    A response is `{"text", "token_ids", "finished"}`, and `begun` where the generation prompt has begun it by opening
    a thought. Interrupted, the same call goes on where it stopped.

    Args:
        prompts: A .jsonl, .parquet or .arrow file.
        out: The .jsonl file to write.
        model: A model directory or hub name.
        settings: How responses are sampled; None is the defaults.
        progress: True always shows it, False never, None only in a terminal.

    Raises:
        BadInput: A prompt cannot be sampled; nothing has been sampled then.
    """
    settings = settings or Sampling()
    rows = read_rows(prompts)
    policy = Policy.load(model)
    requests = policy.requests(rows, settings, str(prompts))
    if out.exists() and prompts.resolve() == out.resolve():
        raise BadInput(f"{out}: the output would replace the input")
    plan = {"input": rows_hash(rows), "model": model_hash(model)} | settings.model_dump(exclude=_NO_PART)
    if any(request.begun for request in requests):  # a file of before it was noted is not taken for this one
        plan["begun"] = True
    sampler = _Sampler(policy, settings, _longest(policy, requests))
    task = FileTask("sampling", plan, settings.segment, sampler.described)
    if (existing := finished(out, task)) is not None:
        return existing

    def work(places: range) -> tuple[list[Row], Counts]:
        sampled = sampler.engine().sample([requests[place] for place in places])
        made = []
        for place, responses in zip(places, sampled, strict=True):
            begun = {"begun": requests[place].begun} if requests[place].begun else {}
            shown = [
                {"text": policy.text(response), "token_ids": list(response.token_ids), "finished": response.finished}
                | begun
                for response in responses
            ]
            made.append({**rows[place], "responses": shown})
        tokens = sum(len(response.token_ids) for responses in sampled for response in responses)
        return made, Counts(len(made), settings.n * len(made), tokens)

    with progress_for(progress, "sampling", "sampled") as shown:
        try:
            return in_segments(out, len(rows), task, work, shown, settings.n * len(rows))
        finally:
            sampler.close()


def _longest(policy: Policy, requests: Sequence[Request]) -> int:
    """Tokens that a prompt and its response may come to. An ordinary model keeps what it takes itself."""
    wanted = max(_ORDINARY, *(len(request.ids) + request.room for request in requests))
    return wanted if policy.longest is None else min(wanted, policy.longest)


class _Sampler:
    """The engine, made when the first segment needs it, and what the output says of it."""

    def __init__(self, policy: Policy, settings: Sampling, longest: int) -> None:
        self._policy, self._settings, self._longest = policy, settings, longest
        self._engine: Engine | None = None

    def engine(self) -> Engine:
        if self._engine is None:
            make = ENGINES[self._settings.engine]
            self._engine = make(self._policy.name, self._settings, self._policy.stops, self._longest)
        return self._engine

    def described(self) -> dict[str, Any]:
        return {
            "model": Path(self._policy.name).name,
            "tokenizer_hash": self._policy.chat.hash,
            "engine": self._settings.engine,
            "engine_version": installed_version(self._settings.engine),
            "stop_token_ids": sorted(self._policy.stops),
        }

    def close(self) -> None:
        if self._engine is not None:
            self._engine.close()
