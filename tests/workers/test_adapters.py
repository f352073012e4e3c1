"""Adapters in the transformers engine: each branch by its own version, whatever else is in the same pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.harness.adapters import save_adapter, save_merged
from tests.workers.test_engines import apart, plain, random_ids
from tokenreward.estimators import squash
from tokenreward_workers.engines.base import score_all
from tokenreward_workers.engines.packed.engine import TransformersEngine
from tokenreward_workers.engines.packed.growth import Growth
from tokenreward_workers.engines.packed.tree import pack
from tokenreward_workers.engines.synthetic.engine import SyntheticEngine
from tokenreward_workers.scoring import Adapter, Scored, Scoring, ScoringFailed
from tokenreward_workers.shards.logprob_cache import branch_hashes

Models = tuple[Path, list[tuple[Adapter, Path]]]


@pytest.fixture(scope="module")
def models(_checkpoints: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Models:
    """A base model, and three adapters of it with the models that they make when they are merged."""
    base, folder = _checkpoints("llama"), tmp_path_factory.mktemp("adapters")
    made = []
    for n, options in enumerate(({}, {"use_rslora": True}, {"r": 8, "rank_pattern": {"v_proj": 2}})):
        adapter = save_adapter(base, folder / f"adapter-{n}", seed=n, **options)
        made.append((adapter, save_merged(base, adapter, folder / f"merged-{n}")))
    return base, made


def mixed(adapters: Sequence[Adapter]) -> list[Scoring]:
    """Branches that read the same ids with the base and with each adapter, and some that read others."""
    question, answer = random_ids(1, 40), random_ids(3, 30)
    rests = {"base": (), "same": (), "first": (), "second": random_ids(4, 9), "third": ()}
    own = {"first": adapters[0], "second": adapters[1], "third": adapters[2]}
    return [
        Scoring(question, rests, answer, adapters=own),
        Scoring(question, rests, random_ids(5, 12), adapters=own),
        Scoring(question, {"base": ()}, answer),
        Scoring(question, {"only": random_ids(6, 5)}, answer, adapters={"only": adapters[2]}),
        *(
            Scoring(random_ids(n, 30), {"only": ()}, random_ids(n + 1, 20), adapters={"only": adapters[n % 3]})
            for n in range(9)
        ),
    ]


def expected(models: Models, work: Sequence[Scoring]) -> list[Scored]:
    """Each branch by a plain pass of the base, or of the model that its adapter makes of it."""
    base, made = models
    merged = {adapter: plain(folder, work) for adapter, folder in made}
    alone = plain(base, work)
    return [
        {branch: (merged[own] if (own := scoring.adapters.get(branch)) else alone)[n][branch] for branch in one}
        for n, (scoring, one) in enumerate(zip(work, alone, strict=True))
    ]


def check(scored: Sequence[Scored | ScoringFailed], wanted: Sequence[Scored]) -> None:
    """Labels (contrasts with the base) have to agree to 1e-5, and log-probs of about 10 to their own rounding."""
    for found, right in zip(scored, wanted, strict=True):
        assert apart(found, right) < 1e-4
        if "base" in right and isinstance(found, dict):
            base, own = found["base"].logprobs, right["base"].logprobs
            for branch in right:
                labels = [
                    squash(row - alone)
                    for row, alone in ((found[branch].logprobs, base), (right[branch].logprobs, own))
                ]
                assert np.abs(labels[0] - labels[1]).max() < 1e-5


@pytest.mark.parametrize("budget", [64, 300, 100_000])
def test_branches_of_adapters_equal_those_of_the_merged_models(tiny: object, models: Models, budget: int) -> None:
    base, made = models
    work = mixed([adapter for adapter, _ in made])
    scored = score_all(TransformersEngine(base, "float32", token_budget=budget), work)
    wanted = expected(models, work)
    check(scored, wanted)
    assert apart(wanted[0], dict.fromkeys(wanted[0], wanted[0]["base"])) > 0.1, "adapters change something"


def test_more_adapters_than_are_held_are_loaded_again_and_score_the_same(tiny: object, models: Models) -> None:
    base, made = models
    adapters = [adapter for adapter, _ in made]
    engine = TransformersEngine(base, "float32", max_adapters=1)
    work = [Scoring((5, 6, 7), {"a": ()}, random_ids(1, 20), adapters={"a": adapter}) for adapter in adapters]
    wanted = expected(models, work)
    for _ in range(2):
        for one, right in zip(work, wanted, strict=True):
            check(score_all(engine, [one]), [right])
            assert list(engine.adapters) == [one.adapters["a"].version]


def test_an_adapter_that_cannot_be_loaded_fails_what_needs_it_and_nothing_else(
    tiny: object, models: Models, tmp_path: Path
) -> None:
    base, ((good, _), *_) = models
    gone = Adapter("0" * 16, tmp_path / "gone")
    branches: dict[str, tuple[int, ...]] = {"a": (1,), "b": (2,)}
    work = [Scoring((3,), branches, (4, 5), adapters={"a": one}) for one in (good, gone, good)]
    engine = TransformersEngine(base, "float32")
    first, failed, last = score_all(engine, [*work[:2], Scoring((3,), branches, (4, 5))])
    assert isinstance(failed, ScoringFailed)
    assert failed.code == "adapter_failed"
    assert "gone holds no adapter" in failed.message
    assert isinstance(first, dict)
    assert isinstance(last, dict)
    assert (first["a"].logprobs != last["a"].logprobs).any()
    assert first["b"].logprobs == pytest.approx(last["b"].logprobs, abs=1e-5)


def test_a_pass_is_as_large_as_its_pack_and_shares_nothing_between_adapters() -> None:
    one, two = Adapter("1" * 16, Path("1")), Adapter("2" * 16, Path("2"))
    prefix, answer = random_ids(1, 100), random_ids(2, 20)
    scoring = Scoring(prefix, {"a": (), "b": (), "c": ()}, answer, adapters={"b": one, "c": two})
    packed = pack(enumerate([scoring, replace(scoring, adapters={"b": one, "c": one})]))
    assert len(packed.ids) == 3 * 119
    assert [(stretch.adapter, stretch.start, stretch.end) for stretch in packed.stretches] == [
        (one, 119, 238),
        (two, 238, 357),
    ]
    growth = Growth(scoring)
    assert growth.takes(replace(scoring, adapters={"b": two}), 10**6)
    assert growth.size == len(packed.ids)


def test_the_cache_and_the_synthetic_engine_tell_versions_apart() -> None:
    plain = Scoring((1, 2), {"a": (3,)}, (4, 5))
    versions = [replace(plain, adapters={"a": Adapter(n * 16, Path(n))}) for n in "12"]
    assert len({branch_hashes(one)["a"] for one in (plain, *versions)}) == 3
    moved = replace(plain, adapters={"a": Adapter("1" * 16, Path("elsewhere"))})
    assert branch_hashes(moved) == branch_hashes(versions[0]), "where it lies does not count"
    outcomes = score_all(SyntheticEngine(), [plain, *versions, moved])
    rows = [outcome["a"].logprobs.tolist() for outcome in outcomes if isinstance(outcome, dict)]
    assert rows[1] == rows[3]
    assert len({tuple(row) for row in rows}) == 3
