"""Whether an engine scores a model as a plain pass would: every sequence on its own, in full, in float32, no cache."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.model_zoo.architectures import Architecture, named
from tokenreward.errors import BadInput
from tokenreward_workers.engines import EngineSettings, load_engine
from tokenreward_workers.engines.base import Outcome, score_all
from tokenreward_workers.scoring import LogProbs, Scoring

#: How far a log-prob may be off, at any token.
TOLERANCE = 1e-4


@dataclass(frozen=True, slots=True)
class Judged:
    """What came of one architecture in one engine.

    Attributes:
        name: The architecture's.
        verdict: "right", "refused" (at load, with a reason) or "wrong".
        apart: The largest difference of a log-prob; None if there are none.
        reason: Why it was refused, or what failed.
    """

    name: str
    verdict: str
    apart: float | None = None
    reason: str = ""


def judge(engine: str, name: str) -> Judged:
    """Build an architecture, load it into an engine, and compare."""
    import torch

    from benchmarks.model_zoo.checkpoints import build

    torch.set_num_threads(1)  # two threads wait for each other longer than a tiny model computes
    architecture = named(name)
    with tempfile.TemporaryDirectory() as folder:
        path = build(architecture, Path(folder))
        expected = plain(path, work())
        try:
            loaded = load_engine(engine, path, EngineSettings(dtype="float32", max_tokens=300, kv_gib=0.02))
        except BadInput as error:
            return Judged(name, "refused", reason=str(error).replace(folder, "the folder"))
        try:
            return compared(architecture, score_all(loaded.engine, work()), expected)
        finally:
            loaded.engine.close()


def compared(
    architecture: Architecture, outcomes: Sequence[Outcome], expected: Sequence[dict[str, LogProbs]]
) -> Judged:
    """Take the difference where it is largest."""
    failed = next((outcome for outcome in outcomes if not isinstance(outcome, dict)), None)
    if failed is not None:
        return Judged(architecture.name, "wrong", reason=f"a scoring failed: {failed.message}")
    apart = max(
        float(np.abs(outcome[branch].logprobs - theirs[branch]).max())
        for outcome, theirs in zip(outcomes, expected, strict=True)
        if isinstance(outcome, dict)
        for branch in theirs
    )
    return Judged(architecture.name, "right" if apart < TOLERANCE else "wrong", apart)


def work() -> list[Scoring]:
    """Branches that share a prefix, several responses to a prompt, and texts seven times as long as any window."""
    question, answer = _ids(1, 90), _ids(2, 70)
    rests = {"better": _ids(3, 9), "worse": _ids(4, 12)}
    return [
        Scoring(question, rests, answer),
        Scoring(question, rests, (*answer[:40], *_ids(5, 9))),
        Scoring(question[:50], rests, _ids(6, 1)),
        Scoring((), {"better": _ids(7, 5), "worse": _ids(8, 3)}, answer[:30]),
    ]


def plain(path: Path, scorings: Sequence[Scoring]) -> list[dict[str, LogProbs]]:
    """What transformers says with eager attention."""
    import torch
    from transformers import AutoModelForCausalLM

    model: Any = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32, attn_implementation="eager").eval()
    rows: list[dict[str, LogProbs]] = []
    for scoring in scorings:
        row = {}
        for branch, rest in scoring.branches.items():
            ids = torch.tensor([[*scoring.prefix, *rest, *scoring.response]])
            with torch.inference_mode():
                logprobs = model(input_ids=ids, use_cache=False).logits[0].float().log_softmax(-1)
            picked = logprobs[:-1].gather(-1, ids[0, 1:, None])[-len(scoring.response) :, 0]
            row[branch] = picked.numpy()
        rows.append(row)
    return rows


def _ids(seed: int, length: int) -> tuple[int, ...]:
    return tuple(int(number) for number in np.random.default_rng(seed).integers(3, 300, length))
