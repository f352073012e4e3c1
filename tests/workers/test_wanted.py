"""What a scoring wants beside log-probs: exact in the packed engine, checked, and cached by what was asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.harness.stack import Stack
from tests.support.worker_shards import FINGERPRINT, put, shard_of
from tests.workers.test_engines import random_ids, tangled
from tokenreward.protocol.spill import Spill
from tokenreward_workers.engines import logit_columns
from tokenreward_workers.engines.base import ListFeed, score_all
from tokenreward_workers.engines.logit_columns import columns_of_logits
from tokenreward_workers.engines.packed.engine import TransformersEngine
from tokenreward_workers.engines.synthetic import VOCABULARY, chat_format
from tokenreward_workers.engines.synthetic.engine import SyntheticEngine
from tokenreward_workers.engines.synthetic.settings import SyntheticSettings
from tokenreward_workers.rendering import Prepared, Renderer
from tokenreward_workers.scoring import Moments, Row, Scoring, ScoringFailed, checked
from tokenreward_workers.shards.logprob_cache import LogprobCache, branch_hashes, known_rows
from tokenreward_workers.shards.preparing import Preparer
from tokenreward_workers.shards.rewards import evidence_of
from tokenreward_workers.store.job_store import JobStoreClient
from tokenreward_workers.wanted import NamedIds, Wanted


def wanting(scoring: Scoring, n: int) -> Scoring:
    """The same work, of which every third time something else is wanted, and sometimes nothing."""
    length = len(scoring.response)
    ids = NamedIds.of(np.random.default_rng(n).integers(0, 320, (length, 1 + n % 4)))
    kinds = [Wanted(), Wanted(moments=True), Wanted(top=3 + n % 2), Wanted(True, 128, ids), Wanted(ids=ids)]
    return replace(scoring, wanted=kinds[n % len(kinds)])


def by_hand(logits: torch.Tensor, scoring: Scoring) -> Row:
    """A row in float64, out of the logits of a whole sequence."""
    wanted = scoring.wanted
    logp = logits.double().log_softmax(-1)[-len(scoring.response) - 1 : -1]
    p, safe = logp.exp(), logp.clamp(min=-1e30)
    entropy = -(p * safe).sum(-1)
    parts = [logp.gather(-1, torch.tensor(scoring.response)[:, None])]
    if wanted.moments:
        parts += [entropy[:, None], (p * (safe + entropy[:, None]) ** 2).sum(-1, keepdim=True)]
    if wanted.top:
        best = logp.topk(wanted.top)
        parts += [best.indices.double(), best.values]
    if wanted.ids is not None:
        parts.append(logp.gather(-1, torch.tensor(wanted.ids.array.tolist())))
    return Row.of(torch.cat(parts, -1).float().numpy(), wanted)


def test_moments_are_those_of_the_definition_and_an_impossible_id_adds_nothing() -> None:
    p = torch.tensor([[0.5, 0.25, 0.25, 0.0], [1.0, 0.0, 0.0, 0.0], [0.25, 0.25, 0.25, 0.25]])
    found = columns_of_logits(p.log(), torch.tensor([1, 0, 3]), Wanted(moments=True), None).numpy()
    half, quarter = np.log(2), np.log(4)
    entropy = 0.5 * half + 0.5 * quarter
    variance = 0.5 * (half - entropy) ** 2 + 0.5 * (quarter - entropy) ** 2
    np.testing.assert_allclose(found[0], [-quarter, entropy, variance], rtol=1e-6)
    np.testing.assert_allclose(found[1:], [[0, 0, 0], [-quarter, quarter, 0]], atol=1e-6)


def test_a_chunk_of_any_size_gives_the_same_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    dice = torch.Generator().manual_seed(3)
    logits, targets = 4 * torch.randn(37, 500, generator=dice), torch.randint(0, 500, (37,), generator=dice)
    named = torch.randint(0, 500, (37, 4), generator=dice)
    wanted = Wanted(True, 20, NamedIds.of(named.numpy()))
    whole = columns_of_logits(logits, targets, wanted, named)
    monkeypatch.setattr(logit_columns, "_HELD", 5 * 500)
    torch.testing.assert_close(columns_of_logits(logits, targets, wanted, named), whole)
    assert whole.shape == (37, wanted.width)


@pytest.mark.parametrize("architecture", ["llama", "gemma2"])
def test_packed_passes_give_what_a_plain_pass_gives(
    tiny: Callable[[str], Path], architecture: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = [wanting(scoring, n) for n, scoring in enumerate(tangled())]
    expected = plain(tiny(architecture), work)
    for budget, rows in ((64, 7), (100_000, 1000)):
        engine = TransformersEngine(tiny(architecture), "float32", token_budget=budget)
        monkeypatch.setattr(engine._head, "rows", rows)
        for n, outcome in engine.score(ListFeed(work)):
            assert not isinstance(outcome, ScoringFailed), outcome
            for branch, row in outcome.items():
                assert_same(row, expected[int(str(n))][branch])


def test_a_scoring_of_several_passes_gets_what_it_wants_in_each(tiny: Callable[[str], Path]) -> None:
    response = random_ids(1, 60)
    branches = {name: random_ids(n, 50) for n, name in enumerate("abcdef")}
    ids = NamedIds.of(np.arange(60)[:, None] + [[3, 4]])
    scoring = Scoring(random_ids(9, 4), branches, response, Wanted(moments=True, top=5, ids=ids))
    engine = TransformersEngine(tiny("llama"), "float32", token_budget=64)
    (outcome,) = score_all(engine, [scoring])
    assert not isinstance(outcome, ScoringFailed), outcome
    (expected,) = plain(tiny("llama"), [scoring])
    assert engine.stats.steps > 1
    for branch, row in expected.items():
        assert_same(outcome[branch], row)


def test_what_was_wanted_and_is_missing_or_no_number_is_a_failure() -> None:
    logprobs = np.array([-1.0, -2.0], np.float32)
    moments = Moments(np.array([1.0, -1e-6], np.float32), np.array([0.5, 0.0], np.float32))
    wanted = Wanted(moments=True)
    kept = checked({"a": Row(logprobs, moments)}, 2, wanted)
    assert isinstance(kept, dict)
    assert kept["a"].moments is not None
    assert kept["a"].moments.entropy.min() == 0
    odd = [np.array([value, 1], np.float32) for value in (np.nan, np.inf, -0.5)]
    for row in (Row(logprobs), *(Row(logprobs, replace(moments, variance=values)) for values in odd)):
        assert isinstance(checked({"a": row}, 2, wanted), ScoringFailed), row
    assert isinstance(checked({"a": Row(logprobs, moments)}, 2), ScoringFailed), "more than was wanted"
    positive = Row.of(np.array([[-1, 5, 6, 0.5, -1]], np.float32), Wanted(top=2))
    assert isinstance(checked({"a": positive}, 1, Wanted(top=2)), ScoringFailed)


def test_the_synthetic_engine_gives_what_is_wanted_and_the_same_each_time() -> None:
    work = [wanting(scoring, n) for n, scoring in enumerate(tangled()[:10])]
    runs = [score_all(SyntheticEngine(SyntheticSettings(), 320), work) for _ in range(2)]
    for scoring, one, two in zip(work, *runs, strict=True):
        assert isinstance(one, dict)
        assert isinstance(two, dict)
        assert isinstance(checked(one, len(scoring.response), scoring.wanted), dict)
        for branch, row in one.items():
            np.testing.assert_array_equal(row.columns, two[branch].columns)


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Stack(tmp_path_factory.mktemp("store")) as stack:
        yield stack


def test_the_cache_keeps_rows_by_what_was_asked(valkey: Stack) -> None:
    store = JobStoreClient(valkey.redis, "w", FINGERPRINT.digest, Spill(None, 1), 20)
    renderer, cache = Renderer(chat_format(), 2_000, VOCABULARY), LogprobCache(store, 60)
    engine = SyntheticEngine(SyntheticSettings(), VOCABULARY)

    def run(job: str, *include: str) -> Any:
        shard = shard_of(put(store, job, ["same"]), include=include)
        Preparer(store, renderer, cache).prepare([shard])
        for n, outcome in enumerate(score_all(engine, shard.scorings)):
            shard.settle(n, outcome)
        cache.keep([shard])
        return shard

    first, other, again = run("one", "top", "moments"), run("two"), run("three", "top", "moments")
    assert (first.cache_hits, other.cache_hits, again.cache_hits) == (0, 0, 1)
    kept, found = first.places[0].scored, again.places[0].scored
    for branch, row in kept.items():
        assert_same(found[branch], row)
        assert found[branch].top.ids.dtype == np.int32
    assert run("four").cache_hits == 1
    assert len({*map(tuple, (h.items() for s in (first, other) for h in s.hashes))}) == 2


def test_an_estimator_gets_no_moments_of_repeated_branches() -> None:
    row = Row(np.zeros(2, np.float32), Moments(np.ones(2, np.float32), np.ones(2, np.float32)))
    prepared = Prepared(Scoring((1,), {"a": (2,)}, (3, 4)), "")
    options: Any = SimpleNamespace(estimator="z_word", include=[], pool=None)
    renderer: Any = SimpleNamespace(pieces=lambda _: (["a", "b"], [(0, 1), (1, 2)]))
    evidence, _ = evidence_of(prepared, {"plain": row, "each[0]": row, "each[1]": row}, options, renderer)
    assert set(evidence.moments) == {"plain"}


def test_cached_numbers_of_another_shape_are_not_used() -> None:
    scoring = Scoring((1,), {"a": (2,)}, (3, 4), Wanted(moments=True))
    hashes = branch_hashes(scoring)
    (name,) = hashes.values()
    assert known_rows(scoring, hashes, {name: np.zeros(6, np.float32)}) is not None
    assert known_rows(scoring, hashes, {name: np.zeros(2, np.float32)}) is None


def plain(path: Path, work: Sequence[Scoring]) -> list[dict[str, Row]]:
    """Every sequence on its own."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32, attn_implementation="eager").eval()
    found: list[dict[str, Row]] = []
    for scoring in work:
        found.append({})
        for branch, rest in scoring.branches.items():
            ids = torch.tensor([[*scoring.prefix, *rest, *scoring.response]])
            with torch.inference_mode():
                found[-1][branch] = by_hand(model(ids, use_cache=False).logits[0], scoring)
    return found


def assert_same(row: Row, expected: Row) -> None:
    np.testing.assert_allclose(row.logprobs, expected.logprobs, atol=1e-4)
    for name in ("moments", "top", "named"):
        ours, theirs = getattr(row, name), getattr(expected, name)
        assert (ours is None) == (theirs is None), name
    if row.moments is not None and expected.moments is not None:
        np.testing.assert_allclose(row.moments.entropy, expected.moments.entropy, atol=1e-4)
        np.testing.assert_allclose(row.moments.variance, expected.moments.variance, atol=5e-4)
    if row.top is not None and expected.top is not None:
        np.testing.assert_allclose(row.top.logprobs, expected.top.logprobs, atol=1e-4)
        # Two ids that are equally likely may change places.
        assert (row.top.ids == expected.top.ids).mean() > 0.98
    if row.named is not None and expected.named is not None:
        np.testing.assert_array_equal(row.named.ids, expected.named.ids)
        np.testing.assert_allclose(row.named.logprobs, expected.named.logprobs, atol=1e-4)
