"""benchmarks/experiment.py: its plan, its statistics, and that its document says what its results say."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import _experiment_runs
from benchmarks._experiment_plan import Plan, Run, claim, read_plan, smoke
from benchmarks._experiment_runs import finished, recall, rto_settings_of, settings_of
from benchmarks._experiment_table import Results, detectable, tables

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"

PLAN = read_plan([])


def a_run(row: str, seed: int, right: str, **more: Any) -> dict[str, Any]:
    return {"row": row, "seed": seed, "right": right, "tokens": 10.0} | more


@pytest.mark.parametrize("name", [name for name, row in PLAN.rows.items() if row.train])
def test_every_row_is_a_run_that_the_trainer_takes(name: str, tmp_path: Path) -> None:
    from tokenreward_trainer.training.settings import run_of
    from tokenreward_trainer.training.trainings import arguments_of

    row = PLAN.rows[name]
    run = run_of(settings_of(PLAN, "a-model", tmp_path, Run(name, row, 3)))

    arguments = arguments_of(run)
    assert arguments.method == row.train["method"]
    assert arguments.seed == 3
    assert arguments.reg_alpha == row.train.get("reg_alpha", 0.0)
    assert not arguments.needs_labels or row.labels is not None


@pytest.mark.parametrize("name", [name for name, row in PLAN.rows.items() if row.rto])
def test_every_row_of_rto_is_a_run_that_rto_takes(name: str, tmp_path: Path) -> None:
    from tokenreward_trainer.rto.settings import rto_of

    run = rto_of(rto_settings_of(PLAN, "a-model", tmp_path, Run(name, PLAN.rows[name], 3)))

    assert run.ppo.seed == 3
    assert run.rewards.dpo == str(tmp_path / "runs" / "dpo" / "3" / "model")


def test_labels_of_a_row_are_a_kind_that_the_plan_makes() -> None:
    known = {None, "surprisal", *PLAN.labels, *PLAN.rows}
    assert {row.labels for row in PLAN.rows.values()} <= known


def test_a_row_whose_policy_labels_another_is_trained_before_it() -> None:
    names = list(PLAN.rows)
    for name, row in PLAN.rows.items():
        if row.labels in names:
            assert names.index(row.labels) < names.index(name)


def test_a_row_alone_brings_the_row_whose_policy_labels_it() -> None:
    assert list(PLAN.narrowed(["sepo"], [0]).rows) == ["dpo", "sepo"]
    assert list(PLAN.narrowed(["dpo-reg"], [0]).rows) == ["dpo-reg"]


def test_committed_runs_of_the_same_plan_are_not_done_again(tmp_path: Path) -> None:
    plan = PLAN.narrowed(["start", "dpo", "dpo-reg"], [0, 1])
    runs = [
        a_run(name, seed, "1", plan=plan.identity, labels=plan.identity_of_labels(plan.rows[name]))
        for name in ("start", "dpo", "dpo-reg")
        for seed in (0, 2)
    ]
    other_strength = {"dpo-reg": {"labels": "paper", "train": {"method": "dpo", "reg_alpha": 0.5}}}
    content = {"plan": plan.model_dump() | {"rows": plan.model_dump()["rows"] | other_strength}, "runs": runs}

    recalled = plan.recalled(content)
    assert [(run["row"], run["seed"]) for run in recalled] == [("start", 0), ("dpo", 0)]
    recall(tmp_path, recalled)
    assert finished(tmp_path, Run("dpo", plan.rows["dpo"], 0)) == recalled[1]
    assert finished(tmp_path, Run("dpo", plan.rows["dpo"], 1)) is None


def test_a_policy_that_was_thrown_away_is_trained_again_and_its_result_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run("dpo", PLAN.rows["dpo"], 0)
    folder = tmp_path / "runs" / "dpo" / "0"
    (folder / "model").mkdir(parents=True)
    for name in ("result.json", "answers.jsonl", "model/half"):
        (folder / name).write_text("{}", "utf-8")
    trained: list[Path] = []

    def train_apart(*_: Any) -> None:
        trained.append(folder / "model")
        trained[-1].mkdir()

    monkeypatch.setattr(_experiment_runs, "_apart", train_apart)
    for _ in range(2):
        _experiment_runs.train(PLAN, "a-model", tmp_path, run)

    assert len(trained) == 1
    assert sorted(path.name for path in folder.rglob("*")) == ["model", "result.json", "trained.json"]


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        (read_plan(["--train.learning_rate", "1e-6"]), "what all rows share"),
        (read_plan(["--rows.simpo.train.beta", "10"]), "rows.simpo"),
        (read_plan(["--labels.siblings.template", "evidence"]), "labels.siblings"),
        (PLAN.model_copy(update={"labeler_edits": 10}), "labels.classifier"),
    ],
)
def test_a_folder_that_other_settings_have_made_is_refused(changed: Plan, named: str, tmp_path: Path) -> None:
    claim(PLAN, tmp_path)
    claim(PLAN.narrowed(["dpo"], [0]), tmp_path)
    with pytest.raises(SystemExit, match=re.escape(f"({named}")):
        claim(changed, tmp_path)
    claim(PLAN, tmp_path)


def test_a_row_that_is_left_out_does_not_matter_to_a_folder(tmp_path: Path) -> None:
    claim(PLAN, tmp_path)
    claim(read_plan(["--rows.simpo.train.beta", "10"]).narrowed(["dpo"], None), tmp_path)


def test_policies_that_figure_3_draws_need_few_labels() -> None:
    runs = [Run(name, PLAN.rows[name], 0) for name in ("dpo", "dpo-reg")]
    small = PLAN.to_train(runs)
    assert (list(small.labels), small.seeds) == (["paper"], [0])


def test_runs_of_another_plan_are_not_taken_for_its_own() -> None:
    other = read_plan(["--train.learning_rate", "1e-6"])
    run = a_run("dpo", 0, "1", plan=other.identity, labels=None)
    assert PLAN.recalled({"plan": other.model_dump(), "runs": [run]}) == []


def test_the_smoke_test_has_two_methods_and_one_seed() -> None:
    small = smoke(PLAN)
    assert [name for name, row in small.rows.items() if row.train] == ["dpo", "dpo-reg"]
    assert len(small.seeds) == 1


def test_accuracy_and_gain_are_means_over_prompts_and_seeds() -> None:
    results = Results.of(
        [a_run("start", 0, "1000"), a_run("dpo", 0, "1100"), a_run("dpo", 1, "1110"), a_run("reg", 0, "1111")]
    )
    assert results.accuracy("dpo").value == 5 / 8
    assert results.gain("dpo", "start").value == pytest.approx(3 / 8)
    np.testing.assert_array_equal(results.right["dpo"].mean(axis=1), [0.5, 0.75])


def test_the_gain_of_a_row_over_itself_is_exactly_nothing() -> None:
    results = Results.of([a_run("dpo", seed, "10110") for seed in range(3)])
    gain = results.gain("dpo", "dpo")
    assert (gain.value, gain.low, gain.high) == (0, 0, 0)


def test_an_interval_of_one_seed_is_that_of_a_share() -> None:
    """Normal approximation: sqrt(p (1 - p) / n) for a share of n independent answers."""
    right = "1" * 120 + "0" * 280
    interval = Results.of([a_run("dpo", 0, right)]).accuracy("dpo")
    error = np.sqrt(0.3 * 0.7 / 400)
    assert interval.low == pytest.approx(0.3 - 1.96 * error, abs=0.01)
    assert interval.high == pytest.approx(0.3 + 1.96 * error, abs=0.01)


def test_seeds_that_disagree_widen_the_interval() -> None:
    alike = Results.of([a_run("dpo", seed, "10" * 200) for seed in range(3)]).accuracy("dpo")
    apart = Results.of([a_run("dpo", seed, r * 200) for seed, r in enumerate(("00", "10", "11"))]).accuracy("dpo")
    assert alike.value == apart.value
    assert apart.high - apart.low > 3 * (alike.high - alike.low)


def test_the_smallest_detectable_effect_is_that_of_a_paired_comparison() -> None:
    best, worst = detectable(prompts=400, seeds=4, changed=0.25)
    assert worst == pytest.approx(2.8 * 0.5 / 20)
    assert best == pytest.approx(worst / 2)


def test_the_document_has_the_tables_of_the_committed_results() -> None:
    content = json.loads((BENCHMARKS / "results" / "experiment.json").read_bytes())
    document = (BENCHMARKS.parent / "docs" / "experiment.md").read_text("utf-8")

    assert tables(content["plan"], content["runs"]) in document


def test_the_committed_results_are_of_the_plan_that_is_shipped() -> None:
    runs = json.loads((BENCHMARKS / "results" / "experiment.json").read_bytes())["runs"]

    assert {run["plan"] for run in runs} == {PLAN.identity}
    assert all(len(run["right"]) == PLAN.prompts.test for run in runs)
