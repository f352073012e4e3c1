"""Part `correct` of `make gpu`: both engines in the precision that serves, against one in float32.

A random model of 1.5 billion weights scores some of `mix` three times: with vLLM, with the transformers engine in
float32, which is the reference, and with the transformers engine in bfloat16, which shows what rounding alone does.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.gpu_child import has_vllm, read_job, tell
from tokenreward_workers.engines import EngineSettings, load_engine
from tokenreward_workers.engines.base import score_all
from tokenreward_workers.scoring import Scored, Scoring

ITEMS = 60


def main() -> None:
    """Score, compare and tell."""
    job, _ = read_job(__doc__)
    work, _ = job.work("mix", 6 if job.tiny else ITEMS)
    model = job.model("1b")
    # vLLM comes first: it measures how much of the card is free, and its process takes all of it along at its end.
    served = _scored("vllm", "bfloat16", model, work) if has_vllm() else None
    exact = _scored("transformers", "float32", model, work)
    if served is not None:
        found = compared(served, exact)
        tell(correct=found, correct_max_abs=found["max_abs"])
    tell(correct_transformers_bfloat16=compared(_scored("transformers", "bfloat16", model, work), exact))


def compared(found: Sequence[Scored], exact: Sequence[Scored]) -> dict[str, float]:
    """Compare log-probs, and the contrast that rewards are made of.

    Args:
        found: Rows of the branches `better` and `worse`, one dictionary for each response.
        exact: The same in float32.

    Returns:
        Of log-probs, the largest and the root mean square difference; of contrasts (better less worse), the
        correlation, the standard deviation and the root mean square difference.
    """
    differences = np.concatenate([a[b].logprobs - e[b].logprobs for a, e in zip(found, exact, strict=True) for b in e])
    ours, reference = (
        np.concatenate([rows["better"].logprobs - rows["worse"].logprobs for rows in scored])
        for scored in (found, exact)
    )
    return {
        "tokens": len(differences),
        "max_abs": round(float(np.abs(differences).max()), 5),
        "rms": round(_rms(differences), 5),
        "contrast_correlation": round(float(np.corrcoef(ours, reference)[0, 1]), 5),
        "contrast_std": round(float(reference.std()), 5),
        "contrast_error_rms": round(_rms(ours - reference), 5),
    }


def _scored(name: str, dtype: str, model: Path, work: list[Scoring]) -> list[Scored]:
    engine: Any = load_engine(name, model, EngineSettings(dtype=dtype, max_tokens=4000)).engine
    try:
        outcomes = score_all(engine, work)
        rescored = engine.stats.rescored / max(1, engine.stats.branches)
    finally:
        engine.close()
    if name == "vllm":
        tell(vllm_runner=runner(engine), correct_rescored_share=round(rescored, 5))
    scored = [outcome for outcome in outcomes if isinstance(outcome, dict)]
    failed = [outcome for outcome in outcomes if not isinstance(outcome, dict)]
    if failed:
        raise SystemExit(f"{name} in {dtype} failed {len(failed)} of {len(outcomes)} scorings: {failed[0]}")
    return scored


def runner(engine: Any) -> str:
    """Return which of vLLM's two model runners an engine runs on."""
    return "v2" if getattr(engine._engine.vllm_config, "use_v2_model_runner", False) else "v1"


def _rms(values: Any) -> float:
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))


if __name__ == "__main__":
    main()
