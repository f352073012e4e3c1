"""Part `transformers` of `make gpu`: the transformers engine on `mix` at Llama-3-8B's shape, in bfloat16.

The weights are drawn on the card: nothing of their 16 GB is written or read.
"""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu_child import Watts, mfu, read_job, tell, timed
from benchmarks.gpu_models import drawn
from tokenreward_workers.engines import EngineSettings, load_engine
from tokenreward_workers.engines.base import score_all
from tokenreward_workers.engines.packed import loading


def main() -> None:
    """Load, score and tell."""
    job, _ = read_job(__doc__)
    loading.load_whole = _drawn  # type: ignore[assignment]
    work, ideal = job.work("mix")
    engine: Any = load_engine("transformers", job.model("8b"), EngineSettings(max_tokens=4000)).engine
    tokens = sum(scoring.tokens for scoring in work)
    score_all(engine, work[-24:])
    before = engine.stats.computed_tokens
    with Watts() as watts:
        times = [timed(lambda: score_all(engine, work)) for _ in range(min(2, job.repetitions))]
    computed = (engine.stats.computed_tokens - before) / len(times)
    seconds = statistics.median(times)
    tell(
        transformers_mfu=mfu(ideal, seconds),
        transformers_tokens_per_s=round(tokens / seconds),
        transformers_seconds=[round(t, 3) for t in times],
        transformers_computed_share=round(computed / tokens, 4),
        transformers_watts=watts.median,
    )
    if torch.cuda.is_available():
        tell(transformers_peak_gib=round(torch.cuda.max_memory_allocated() / 2**30, 1))


def _drawn(kind: str, folder: Path, *, dtype: Any, attn_implementation: str) -> Any:
    """Stand in for the loading of a checkpoint: the engine loads as ever, and gets random weights."""
    return drawn(folder, str(dtype).removeprefix("torch."), attn_implementation)


if __name__ == "__main__":
    main()
