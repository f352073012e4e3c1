"""Part `vllm` of `make gpu`: every workload at Llama-3-8B's shape, by this project's vLLM engine and by plain vLLM.

One engine with dummy weights is asked in two ways, so that nothing else differs: through `score`, and as vLLM's
documentation shows it (`prompt_logprobs=1`, every branch whole, no prefix sent ahead). `--step defaults` measures
vLLM's `LLM` class with all its defaults instead (compiled, CUDA graphs), which takes about a minute to start.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from functools import partial
from typing import Any

from benchmarks._work import WORKLOADS
from benchmarks.gpu_child import Job, Watts, has_vllm, mfu, read_job, tell, timed
from benchmarks.gpu_correct import runner
from tokenreward_workers.engines.base import score_all
from tokenreward_workers.scoring import Scoring

#: Scored before anything is timed, so that what is compiled on first use is not.
WARM_UP = 24


def main() -> None:
    """Measure the one or the other."""
    job, options = read_job(__doc__)
    if not has_vllm():
        return
    if options.step == "defaults":
        _defaults(job)
    else:
        _both_ways(job)


def _both_ways(job: Job) -> None:
    from tokenreward_workers.engines.vllm.engine import VllmEngine
    from tokenreward_workers.engines.vllm.settings import VllmSettings

    settings = VllmSettings(
        dtype="bfloat16",
        max_tokens=4000,
        load_format="dummy",
        gpu_memory=0.85,
        kv_gib=0.25,
    )
    engine: Any = None

    def start() -> None:
        nonlocal engine
        engine = VllmEngine(job.model("8b"), settings)

    tell(engine_start_s=round(timed(start), 1))
    tell(vllm_runner=runner(engine))
    rescored = branches = 0
    try:
        for name in WORKLOADS:
            more = _workload(engine, job, name)
            rescored, branches = rescored + more[0], branches + more[1]
        tell(rescored_share=round(rescored / max(1, branches), 5))
    finally:
        engine.close()


def _workload(engine: Any, job: Job, name: str) -> tuple[int, int]:
    """Measure one workload; returns how many branches were scored twice, and how many there were."""
    work, ideal = job.work(name)
    tokens = sum(scoring.tokens for scoring in work)
    llm = engine._engine
    score_all(engine, work[-WARM_UP:])
    times = []
    before = (engine.stats.rescored, engine.stats.branches, engine.stats.computed_tokens, engine.stats.steps)
    with Watts() as watts:
        for _ in range(job.repetitions):
            llm.reset_prefix_cache()  # the same work again must not be cheaper
            times.append(timed(lambda: _all_scored(engine, work)))
    stats = engine.stats
    after = (stats.rescored, stats.branches, stats.computed_tokens, stats.steps)
    rescored, branches, computed, steps = (b - a for a, b in zip(before, after, strict=True))
    ours = statistics.median(times)
    tell(
        useful_mfu={name: mfu(ideal, ours)},
        tokens_per_s={name: round(tokens / ours)},
        seconds={name: [round(t, 3) for t in times]},
        computed_share={name: round(computed / job.repetitions / tokens, 4)},
        steps={name: steps // job.repetitions},
        rescored={name: rescored},
        watts={name: watts.median},
    )
    plain(llm, work[-WARM_UP:])
    llm.reset_prefix_cache()
    with Watts() as watts:
        seconds = timed(lambda: plain(llm, work))
    tell(
        vs_plain_vllm={name: round(seconds / ours, 3)},
        plain_useful_mfu={name: mfu(ideal, seconds)},
        plain_tokens_per_s={name: round(tokens / seconds)},
        plain_watts={name: watts.median},
    )
    return rescored, branches


def _all_scored(engine: Any, work: Sequence[Scoring]) -> None:
    failed = [outcome for outcome in score_all(engine, work) if not isinstance(outcome, dict)]
    if failed:
        raise SystemExit(f"{len(failed)} of {len(work)} scorings failed: {failed[0]}")


def plain(llm: Any, work: Sequence[Scoring]) -> list[list[float]]:
    """Score as vLLM's documentation shows it, every request given at once.

    Args:
        llm: An `LLMEngine`.
        work: The scorings.

    Returns:
        The log-probs of the response's tokens, one list for each branch of each scoring.
    """
    from vllm import SamplingParams

    asked: dict[str, tuple[list[int], int]] = {}
    for scoring in work:
        for rest in scoring.branches.values():
            prompt = [*scoring.prefix, *rest]
            number = f"plain{len(asked)}"
            asked[number] = ([*prompt, *scoring.response], len(prompt))
            params = SamplingParams(max_tokens=1, temperature=0.0, prompt_logprobs=1, detokenize=False)
            llm.add_request(number, {"prompt_token_ids": asked[number][0]}, params)
    found = {}
    while llm.has_unfinished_requests():
        for output in llm.step():
            if output.finished:
                number = output.request_id.partition("-")[0]  # vLLM may append a random suffix
                ids, start = asked[number]
                found[number] = [output.prompt_logprobs[at][ids[at]].logprob for at in range(start, len(ids))]
    return [found[number] for number in asked]


def _defaults(job: Job) -> None:
    from vllm import LLM, SamplingParams

    llm: Any = None

    def start() -> None:
        nonlocal llm
        llm = LLM(str(job.model("8b")), load_format="dummy", dtype="bfloat16", max_model_len=4000)

    tell(vllm_defaults_start_s=round(timed(start), 1))
    params = SamplingParams(max_tokens=1, temperature=0.0, prompt_logprobs=1)
    for name in ("mix", "best_of_5"):
        work, ideal = job.work(name)
        prompts = [
            {"prompt_token_ids": [*scoring.prefix, *rest, *scoring.response]}
            for scoring in work
            for rest in scoring.branches.values()
        ]
        llm.generate(prompts[-WARM_UP:], params, use_tqdm=False)
        llm.reset_prefix_cache()
        seconds = timed(partial(llm.generate, prompts, params, use_tqdm=False))
        tokens = sum(scoring.tokens for scoring in work)
        tell(
            vllm_defaults_useful_mfu={name: mfu(ideal, seconds)},
            vllm_defaults_tokens_per_s={name: round(tokens / seconds)},
        )


if __name__ == "__main__":
    main()
