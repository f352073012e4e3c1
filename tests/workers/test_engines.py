"""The scoring seam: the transformers engine against plain passes, and its errors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tokenreward.errors import BadInput, UnknownName
from tokenreward_workers.engines import EngineSettings, load_engine
from tokenreward_workers.engines.base import EngineDied, Key, ListFeed, score_all
from tokenreward_workers.engines.machine import cpus
from tokenreward_workers.engines.packed import attention
from tokenreward_workers.engines.packed import engine as packed_engine
from tokenreward_workers.engines.packed.engine import TransformersEngine
from tokenreward_workers.engines.packed.tree import pack
from tokenreward_workers.engines.packed.window import Window
from tokenreward_workers.scoring import Row, Scored, Scoring, ScoringFailed, checked


def random_ids(seed: int, length: int, vocabulary: int = 320) -> tuple[int, ...]:
    return tuple(int(i) for i in np.random.default_rng(seed).integers(3, vocabulary, length))


def tangled() -> list[Scoring]:
    """Shared prefixes of every kind: branches, several responses to a prompt, duplicates, near-duplicates, none."""
    question, other = random_ids(1, 40), random_ids(2, 21)
    answer = random_ids(3, 30)
    rests = {"better": random_ids(4, 9), "worse": random_ids(5, 12)}
    near = (*answer[:25], *random_ids(6, 5))
    work = [
        Scoring(question, rests, answer),
        Scoring(other, rests, answer),
        Scoring(question, rests, near),
        Scoring(question, rests, answer),
        Scoring(question, rests, answer[:1]),
        Scoring(question, {"only": ()}, answer),
        Scoring((), rests, random_ids(7, 3)),
        Scoring(question[:20], {"better": random_ids(8, 60), "worse": question[20:]}, random_ids(9, 50)),
        Scoring(question, rests, answer[:12]),
    ]
    return [*work, *(Scoring(random_ids(n, n % 17 + 1), rests, random_ids(n + 100, n % 23 + 1)) for n in range(20, 40))]


def plain(path: Path, work: Sequence[Scoring]) -> list[Scored]:
    """Every sequence on its own, float32, full log-softmax, no cache, eager attention."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32, attn_implementation="eager").eval()
    results: list[Scored] = []
    for scoring in work:
        one: Scored = {}
        for branch, rest in scoring.branches.items():
            ids = torch.tensor([[*scoring.prefix, *rest, *scoring.response]])
            with torch.inference_mode():
                logprobs = model(ids, use_cache=False).logits[0].float().log_softmax(-1)
            at = torch.arange(ids.shape[1] - len(scoring.response) - 1, ids.shape[1] - 1)
            one[branch] = Row(logprobs[at, torch.tensor(scoring.response)].numpy())
        results.append(one)
    return results


def apart(scored: Scored | ScoringFailed, expected: Scored) -> float:
    assert not isinstance(scored, ScoringFailed), scored
    assert scored.keys() == expected.keys()
    return max(float(np.abs(scored[branch].logprobs - expected[branch].logprobs).max()) for branch in expected)


@pytest.mark.parametrize("architecture", ["llama", "qwen2", "gemma2"])
def test_packed_scoring_equals_a_plain_pass(tiny: Callable[[str], Path], architecture: str) -> None:
    work = tangled()
    expected = plain(tiny(architecture), work)
    for budget in (64, 300, 100_000):
        engine = TransformersEngine(tiny(architecture), "float32", token_budget=budget)
        scored = dict(engine.score(ListFeed(work)))
        assert sorted(scored, key=str) == sorted(range(len(work)), key=str)
        assert max(apart(scored[n], expected[n]) for n in range(len(work))) < 1e-4
        stats = engine.stats
        assert stats.tokens == sum(s.tokens for s in work)
        assert stats.branches == sum(len(s.branches) for s in work)
        assert stats.computed_tokens + stats.cached_tokens == stats.tokens - stats.branches
        assert stats.cached_tokens > 0
        assert 0 < stats.steps <= stats.branches


def test_soft_capping_and_the_window_of_the_gemma_checkpoint_change_its_log_probs(tiny: Callable[[str], Path]) -> None:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(tiny("gemma2"), attn_implementation="eager").eval()
    ids = torch.tensor([random_ids(1, 80)])
    with torch.inference_mode():
        right = model(ids).logits
        for name, value in (("final_logit_softcapping", None), ("attn_logit_softcapping", None)):
            kept = getattr(model.config, name)
            setattr(model.config, name, value)
            for layer in model.model.layers:
                layer.self_attn.attn_logit_softcapping = model.config.attn_logit_softcapping
            assert (model(ids).logits - right).abs().max() > 0.1
            setattr(model.config, name, kept)


@pytest.mark.parametrize("architecture", ["mamba", "bloom"])
def test_an_architecture_that_cannot_be_packed_is_refused(tiny: Callable[[str], Path], architecture: str) -> None:
    with pytest.raises(BadInput, match="cannot be"):
        TransformersEngine(tiny(architecture), "float32")


def test_what_is_shared_is_packed_once() -> None:
    prefix, response = random_ids(1, 100), random_ids(2, 20)
    scoring = Scoring(prefix, {"a": random_ids(3, 10), "b": random_ids(4, 10)}, response)
    packed = pack(enumerate([scoring] * 5))
    assert len(packed.ids) == 100 + 2 * (10 + 19)
    assert len(packed.asked) == 10
    assert packed.read == 10 * (110 + 19)
    others = [Scoring(prefix, scoring.branches, random_ids(n, 20)) for n in range(10, 15)]
    assert len(pack(enumerate(others)).ids) == 100 + 2 * 10 + 2 * 5 * 19


def passes(work: Sequence[Scoring], budget: int) -> list[list[int]]:
    """The keys of each pass that the window makes of `work`."""
    window = Window(ListFeed(work))
    made: list[list[int]] = []
    while True:
        window.fill(budget)
        chosen = [int(str(key)) for key, _ in window.next_pass(budget)]
        if not chosen:
            return made
        made.append(chosen)


def test_work_with_a_common_beginning_goes_into_one_pass() -> None:
    rests: dict[str, tuple[int, ...]] = {"a": (5,), "b": (6,)}
    work = [Scoring(random_ids(n % 4, 50), rests, random_ids(n, 30)) for n in range(16)]
    groups = passes(work, 300)
    assert sorted(index for group in groups for index in group) == list(range(16))
    assert all(len({index % 4 for index in group}) == 1 for group in groups[:3])


def test_no_scoring_is_overtaken_for_ever() -> None:
    family = random_ids(1, 50)
    rests: dict[str, tuple[int, ...]] = {"a": (5,), "b": (6,)}
    work = [Scoring(family, rests, random_ids(n, 30)) for n in range(200)]
    work[5] = Scoring(random_ids(2, 50), rests, random_ids(5, 30))
    groups = passes(work, 300)
    assert any(5 in group for group in groups[:4])


def test_dropped_work_is_not_scored_and_progress_is_told(tiny: Callable[[str], Path]) -> None:
    work = tangled()
    engine = TransformersEngine(tiny("llama"), "float32", token_budget=64)
    steps = 0

    def on_step() -> set[Key]:
        nonlocal steps
        steps += 1
        return set(range(0, len(work), 2))

    scored = dict(engine.score(ListFeed(work, on_step)))
    assert steps > 3
    assert set(scored) == set(range(1, len(work), 2))


def test_a_long_pass_shows_signs_of_life_in_every_layer_every_piece_of_an_mlp_and_every_chunk_of_rows(
    tiny: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = TransformersEngine(tiny("llama"), "float32", token_budget=64)
    layers: list[int] = []

    def on_step() -> set[int]:
        layout = attention.current()
        layers.append(layout.layers if layout else -1)
        return set()

    monkeypatch.setattr(engine._head, "rows", 10)
    monkeypatch.setattr(packed_engine, "ALIVE_SECONDS", 0.0)
    work = [Scoring(random_ids(1, 200), {"a": (5,), "b": (6,)}, random_ids(2, 30))]
    ((_, scored),) = engine.score(ListFeed(work, on_step))
    assert not isinstance(scored, ScoringFailed)
    pieces = 4  # 230 tokens, at most 64 at a time
    a_pass = [n for layer in range(3) for n in (layer, *[layer + 1] * pieces)]
    assert layers == (a_pass + [-1] * (3 + 1)) * 2


def test_running_out_of_memory_is_engine_died_and_restart_halves_the_budget(
    tiny: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = TransformersEngine(tiny("llama"), "float32", token_budget=1000)
    work = tangled()
    forward = packed_engine.forward

    def short_of_memory(model: Any, head: Any, packed: Any, alive: Any) -> dict[Key, Scored]:
        if engine._budget > 500:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return forward(model, head, packed, alive)

    monkeypatch.setattr(packed_engine, "forward", short_of_memory)
    with pytest.raises(EngineDied):
        score_all(engine, work)
    engine.restart()
    assert len(score_all(engine, work)) == len(work)
    assert engine.stats.restarts == 1


def test_a_number_that_is_no_log_prob_is_a_failure_never_a_result() -> None:
    fine = {"a": Row(np.array([-1.0, 1e-6], dtype=np.float32))}
    kept = checked(fine, 2)
    assert isinstance(kept, dict)
    assert kept["a"].logprobs.max() <= 0
    for wrong in (np.nan, np.inf, -np.inf, 0.5):
        outcome = checked({"a": Row(np.array([-1.0, wrong], dtype=np.float32))}, 2)
        assert isinstance(outcome, ScoringFailed)
        assert outcome.code in ("non_finite", "engine_error")
    assert isinstance(checked(fine, 3), ScoringFailed)


def test_there_are_as_many_threads_as_the_user_says_or_as_there_are_cpus(
    tiny: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.set_num_threads(3)
    TransformersEngine(tiny("llama"), "float32")
    assert torch.get_num_threads() == 3
    monkeypatch.delenv("OMP_NUM_THREADS")
    TransformersEngine(tiny("llama"), "float32")
    assert torch.get_num_threads() == len(cpus())


def test_broken_weights_fail_every_item_by_name(tiny: Callable[[str], Path]) -> None:
    engine = TransformersEngine(tiny("llama"), "float32")
    engine._model.get_output_embeddings().weight.data[5] = float("nan")
    (outcome,) = score_all(engine, tangled()[:1])
    assert isinstance(outcome, ScoringFailed)
    assert outcome.code == "non_finite"


def test_an_engine_is_chosen_by_name_and_its_settings_are_checked() -> None:
    with pytest.raises(UnknownName, match="synthetic, transformers, vllm"):
        load_engine("llama.cpp", None)
    with pytest.raises(BadInput, match="dtype"):
        EngineSettings(dtype="int3")
    assert load_engine("synthetic", None).engine.info.name == "synthetic"
