"""The vLLM engine on the CPU, with the real demo model: right with its cache, and there again after a crash."""

from __future__ import annotations

import importlib.util
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from benchmarks.harness.waiting import wait_for
from tokenreward import templates
from tokenreward.schema import Item
from tokenreward_workers.engines.base import EngineDied, ListFeed, score_all
from tokenreward_workers.model_files.resolve import ModelFiles
from tokenreward_workers.rendering import Prepared, Renderer
from tokenreward_workers.scoring import Scored, Scoring, ScoringFailed

pytestmark = [
    pytest.mark.vllm,
    pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vLLM is not installed"),
]

#: bf16 log-probs of the same tokens in another batch shape differ by this much at most on SmolLM2 (`make fidelity`).
_NOISE = 0.25


@pytest.fixture(scope="module")
def engine(demo: ModelFiles) -> Iterator[Any]:
    """Its KV cache holds 1,280 tokens: every test of some size evicts."""
    from tokenreward_workers.engines.vllm.engine import VllmEngine
    from tokenreward_workers.engines.vllm.settings import VllmSettings

    engine = VllmEngine(demo.path, VllmSettings(max_tokens=1000, token_budget=256, blocks=40))
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def work(renderer: Renderer) -> list[Scoring]:
    """Best-of-3 under both templates: more requests than the engine takes on at a time."""
    items = [
        Item(prompt=f"What is {n} + {n}?", response=answer)
        for n in range(2, 6)
        for answer in (f"{n} + {n} = {2 * n}.", f"{n} + {n} = {2 * n}, as everyone knows.", "I do not know.")
    ]
    scorings = []
    for name in ("revision", "opposite"):
        for ready in renderer.prepare(items, templates.resolve(name), ["better", "worse"]):
            assert isinstance(ready, Prepared)
            scorings.append(ready.scoring)
    return scorings


def logprobs(outcome: Scored | ScoringFailed) -> np.ndarray:
    assert not isinstance(outcome, ScoringFailed), outcome
    return np.concatenate([outcome[branch].logprobs for branch in sorted(outcome)])


@pytest.fixture(scope="module")
def slow(engine: Any, work: list[Scoring]) -> dict[int, Scored | ScoringFailed]:
    """What `work` scores on the slow path: every request computes every row."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "_settings", replace(engine._settings, prefix_cache=False))
        return dict(engine.score(ListFeed(work)))


def test_it_says_what_transformers_says(engine: Any, work: list[Scoring], demo: ModelFiles) -> None:
    from tokenreward_workers.engines.packed.engine import TransformersEngine

    ours = score_all(engine, work)
    theirs = score_all(TransformersEngine(demo.path, "bfloat16"), work[::4])
    difference = np.concatenate([logprobs(ours[4 * n]) - logprobs(outcome) for n, outcome in enumerate(theirs)])
    assert np.abs(difference).mean() < 0.05
    assert engine.stats.computed_tokens < engine.stats.tokens


def test_no_row_out_of_the_cache_is_ever_taken_for_a_log_prob(
    engine: Any, work: list[Scoring], slow: dict[int, Scored | ScoringFailed]
) -> None:
    near = [Scoring(s.prefix, s.branches, (*s.response[:-1], 17)) for s in work[:6]]
    longer = [
        Scoring((*s.prefix, *next(iter(s.branches.values()))), {"a": s.response[:2]}, s.response[2:]) for s in work[:6]
    ]
    long = Scoring((1, 2), {"a": (3,)}, tuple(range(100, 200)))
    whole, same, again = score_all(engine, [long, long, long])
    assert (logprobs(whole) < 0).all()
    assert np.abs(logprobs(whole) - logprobs(same)).max() < _NOISE
    assert np.abs(logprobs(whole) - logprobs(again)).max() < _NOISE
    for tangle in (work, work, work[:4] * 3, [*near, *work[:6]], work[:6]):
        for n, outcome in enumerate(score_all(engine, tangle)):
            found = logprobs(outcome)
            if tangle[n] in work:
                expected = logprobs(slow[work.index(tangle[n])])
                assert np.abs(found - expected).max() < _NOISE
    assert engine.stats.rescored == 0
    for n, outcome in enumerate(
        score_all(engine, longer)
    ):  # what was a response is now part of the prompt, and in the cache
        better = slow[n]["better"].logprobs[2:]  # type: ignore[union-attr]
        assert np.abs(logprobs(outcome) - better).max() < _NOISE


def test_eviction_and_preemption_leave_no_wrong_row(
    engine: Any, work: list[Scoring], slow: dict[int, Scored | ScoringFailed]
) -> None:
    evicting = [Scoring(tuple(range(n, n + 700)), {"a": (3,)}, (4, 5)) for n in range(100, 1100, 250)]
    assert all(isinstance(outcome, dict) for outcome in score_all(engine, evicting))
    steps = 0

    def preempt() -> tuple[int, ...]:
        nonlocal steps
        steps += 1
        if steps < 12:
            engine._engine.reset_prefix_cache(reset_running_requests=steps % 3 == 0)
        return ()

    scored = dict(engine.score(ListFeed(work, preempt)))
    assert sorted(scored) == list(range(len(work)))
    assert max(np.abs(logprobs(scored[n]) - logprobs(slow[n])).max() for n in scored) < _NOISE


def test_a_long_response_is_scored_in_several_steps(engine: Any) -> None:
    response = tuple(int(i) for i in np.random.default_rng(0).integers(20, 40_000, 900))
    (outcome,) = score_all(engine, [Scoring((1, 2, 3), {"a": (4,), "b": (5,)}, response)])
    assert logprobs(outcome).shape == (1800,)
    assert (logprobs(outcome) < 0).all()


def test_what_vllm_refuses_fails_alone(engine: Any, work: list[Scoring]) -> None:
    too_long = Scoring((1,), {"a": (2,), "b": (3,)}, tuple(range(100, 1200)))
    scored = score_all(engine, [work[0], too_long, work[1]])
    assert isinstance(scored[1], ScoringFailed)
    assert "refuses" in scored[1].message
    assert isinstance(scored[0], dict)
    assert isinstance(scored[2], dict)


def test_dropped_work_is_aborted_and_the_engine_goes_on(engine: Any, work: list[Scoring]) -> None:
    kept = {1, 5, 20}
    scored = dict(engine.score(ListFeed(work, lambda: set(range(len(work))) - kept)))
    assert kept <= set(scored)
    assert len(scored) < len(work)
    results = engine.score(ListFeed(work))
    next(results)
    results.close()
    assert not engine._engine.has_unfinished_requests()
    assert len(score_all(engine, work[:3])) == 3


@pytest.mark.timeout(600)
def test_whoever_waits_for_an_engine_core_that_is_killed_is_told_and_a_restart_scores_the_same(engine: Any) -> None:
    """The last of this module: the token budget is half of what it was."""
    from tokenreward_workers.engines.vllm.watchdog import core_processes

    def scores() -> list[np.ndarray]:
        """One request at a time: then the batch, and with it every bit, is the same."""
        work = [Scoring((5, 6, 7), {"a": (8,)}, (10, 11, n)) for n in range(12, 16)]
        return [logprobs(score_all(engine, [one])[0]) for one in work]

    first = scores()
    (core,) = core_processes(engine._engine)
    os.kill(core.pid, signal.SIGSTOP)
    with ThreadPoolExecutor(1) as pool:
        question = pool.submit(engine._engine.engine_core.get_supported_tasks)
        wait_for(lambda: engine._engine.engine_core.utility_results, 30, "the question")
        core.kill()
        with pytest.raises(RuntimeError, match="its process ended"):
            question.result(60)
    with pytest.raises(EngineDied):
        scores()
    engine.restart()
    assert engine.stats.restarts == 1
    for before, after in zip(first, scores(), strict=True):
        assert (before == after).all()
