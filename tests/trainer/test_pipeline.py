"""The whole loop: what it leaves, what it does again when something changed, and that a kill costs nothing but time."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import pytest
import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from benchmarks.harness.processes import COMMAND, Process, wait_gone
from benchmarks.harness.waiting import patience, wait_for
from tokenreward import cli
from tokenreward.errors import BadInput, UnknownName
from tokenreward_trainer.pipeline import Recipe, read_recipe, run_recipe
from tokenreward_trainer.pipeline.recipe import recipe_of, shipped
from tokenreward_trainer.pipeline.stage_list import stages_of

Row = dict[str, Any]
Build = Callable[..., LlamaForCausalLM]


@pytest.fixture(scope="module")
def content(policy: Path, service: str, tmp_path_factory: pytest.TempPathFactory) -> Row:
    """A recipe that takes a few seconds: labels come from a service that runs already."""
    folder = tmp_path_factory.mktemp("content")
    return {
        "run": {"directory": str(folder / "run")},
        "model": {"name": str(policy), "dtype": "float32"},
        "prompts": {"sets": ["arithmetic", "format"], "count": 12},
        "sample": {"n": 3, "max_tokens": 8, "segment": 4, "dtype": "float32"},
        "rank": {"scorer": "function:tests.support.brevity:brevity"},
        "label": {"url": service, "rows_per_job": 2},
        "data": {"eval_share": 0.25, "max_length": 256, "max_prompt_length": 200},
        "train": {
            "reg_alpha": 0.25,
            "learning_rate": 1e-3,
            "per_device_train_batch_size": 2,
            "use_cpu": True,
            "logging_steps": 1,
            "reference_cache": str(folder / "cache"),
        },
        "report": {"baseline": True, "samples": 3, "pairs": 2, "examples": 2},
    }


@pytest.fixture(scope="module")
def whole(content: Row) -> Path:
    """The directory of a run that nobody disturbed; tests only read it."""
    return run_recipe(recipe_of(content), progress=False).parent


def stages(directory: Path) -> dict[str, Row]:
    return {stage["stage"]: stage for stage in json.loads((directory / "run.json").read_bytes())["stages"]}


def done(directory: Path) -> list[str]:
    return [name for name, stage in stages(directory).items() if stage["done"]]


def _elsewhere(content: Row, tmp_path: Path) -> Row:
    """The same in another directory, without the second training."""
    return changed(changed(content, "run", directory=str(tmp_path / "run")), "report", baseline=False)


def changed(content: Row, section: str, **options: Any) -> Row:
    return content | {section: content[section] | options}


EVERY_STAGE = ["prompts", "sample", "rank", "label", "baseline", "train", "report"]


# ---- what it leaves ----------------------------------------------------------------------------------------


def test_a_run_leaves_a_policy_and_a_page_with_samples_pairs_labels_and_curves(whole: Path) -> None:
    found = stages(whole)
    assert list(found) == done(whole) == EVERY_STAGE
    trained = whole / found["train"]["folder"] / "model"
    LlamaForCausalLM.from_pretrained(trained)
    assert not list(trained.glob("checkpoint-*"))
    record = json.loads((trained / "run.json").read_text())
    assert record["name"] == "DPO-REG"
    assert record["provenance"]["fingerprint"]["engine"] == "transformers"

    page = (whole / "report.html").read_text()
    assert "From prompts to DPO beside DPO-REG" in page
    for heading in ("Scores", "Samples", "Pairs and their labels", "Training", "Token rewards of held-out responses"):
        assert f"<h2>{heading}</h2>" in page
    assert page.count("data:image/svg+xml;base64,") == 2
    assert page.count("<article>") == 3 + 2 + 2
    assert not re.findall(r"(?:src|href)=[\"'](?!data:)", page)
    assert "<script" not in page


def test_what_is_trained_on_is_what_was_sampled(whole: Path) -> None:
    found = stages(whole)

    def rows(stage: str, name: str) -> list[Row]:
        path = whole / found[stage]["folder"] / name
        return [json.loads(line) for line in path.read_bytes().splitlines()]

    sampled = {
        (row["id"], response["text"]): response["token_ids"]
        for row in rows("sample", "samples.jsonl")
        for response in row["responses"]
    }
    labeled = rows("label", "labeled.jsonl")
    assert len(labeled) > 6
    for row in labeled:
        for side in ("chosen", "rejected"):
            assert row[f"{side}_token_ids"] == sampled[row["id"], row[side]]
            assert len(row[f"{side}_token_rewards"]) == len(row[f"{side}_token_ids"])
    # Random bytes are hardly ever text that is tokenized into themselves: were they tokenized again, this would fail.
    assert any("\ufffd" in row["chosen"] + row["rejected"] for row in labeled)


def test_hostile_prompts_stay_text_in_the_report(content: Row, tmp_path: Path) -> None:
    rows = [{"id": "<script>alert(1)</script>", "prompt": f"<img src=x onerror=alert({n})>"} for n in range(12)]
    (tmp_path / "mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    quick = _elsewhere(content, tmp_path) | {"prompts": {"file": str(tmp_path / "mine.jsonl")}}
    report = run_recipe(recipe_of(quick), progress=False).read_text()
    assert "<script" not in report
    assert "<img src=x" not in report
    assert "&lt;img src=x" in report


# ---- what it does again ------------------------------------------------------------------------------------


def test_only_what_changed_is_done_again(content: Row, tmp_path: Path) -> None:
    content, directory = _elsewhere(content, tmp_path), tmp_path / "run"
    every = [name for name in EVERY_STAGE if name != "baseline"]
    run_recipe(recipe_of(content), progress=False)
    assert done(directory) == every
    run_recipe(recipe_of(content), progress=False)
    assert done(directory) == []
    run_recipe(recipe_of(changed(content, "report", samples=4)), progress=False)
    assert done(directory) == ["report"]
    # Another margin that every pair keeps: they are ranked again and are the same, so nothing else is done again.
    run_recipe(recipe_of(changed(content, "rank", margin=1e-9)), progress=False)
    assert done(directory) == ["rank"]
    run_recipe(recipe_of(changed(content, "train", learning_rate=1e-4)), progress=False)
    assert done(directory) == ["train", "report"]
    run_recipe(recipe_of(changed(content, "sample", seed=1)), progress=False)
    assert done(directory) == every[1:]
    run_recipe(recipe_of(content), progress=False)
    assert done(directory) == []

    pairs = directory / stages(directory)["rank"]["folder"] / "pairs.jsonl"
    before = pairs.read_bytes()
    pairs.write_bytes(before[: len(before) // 2])  # Somebody changed it: it is made again.
    run_recipe(recipe_of(content), progress=False)
    assert pairs.read_bytes() == before
    assert done(directory) == ["rank"]


def test_another_policy_in_the_same_place_is_another_input(content: Row, tmp_path: Path) -> None:
    moved = tmp_path / "policy"
    shutil.copytree(content["model"]["name"], moved)
    same, there = recipe_of(content), recipe_of(changed(content, "model", name=str(moved)))

    def options(recipe: Recipe) -> dict[str, Row]:
        return {stage.name: stage.options(recipe) for stage in stages_of(recipe)}

    assert options(there) == options(same)
    model = LlamaForCausalLM.from_pretrained(moved)
    with torch.no_grad():
        model.lm_head.weight[5] += 0.5
    model.save_pretrained(moved)
    now = options(there)
    assert [name for name, known in options(same).items() if now[name] != known] == ["sample", "baseline", "train"]


# ---- kills -------------------------------------------------------------------------------------------------


def toml(content: Row) -> str:
    lines = []
    for section, options in content.items():
        lines.append(f"[{section}]")
        lines += [f"{name} = {json.dumps(value)}" for name, value in options.items()]
    return "\n".join(lines)


@pytest.mark.slow
def test_a_run_that_is_killed_in_every_stage_and_between_them_goes_on_to_the_same_end(
    content: Row, whole: Path, tmp_path: Path
) -> None:
    (tmp_path / "recipe.toml").write_text(toml(changed(content, "run", directory=str(tmp_path / "run"))))
    environment = os.environ | {"TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tests.support.killed_runs", str(tmp_path / "recipe.toml")]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=patience(240))
    assert ran.returncode == 0, ran.stdout + ran.stderr[-4000:]
    attempts = [json.loads(line) for line in ran.stdout.splitlines() if line.startswith('{"point"')]
    *kills, last = attempts
    assert [attempt["how"] for attempt in kills] == ["killed"] * len(kills), ran.stdout
    assert last["how"] == "ended"
    assert len(kills) == 3 * 6 + 5  # Three points in each stage, and two more in a checkpoint.
    for before, attempt in pairwise(kills):
        assert set(before["finished"]) <= set(attempt["finished"]), "a finished stage was begun again"

    mine, undisturbed = stages(tmp_path / "run"), stages(whole)
    assert done(tmp_path / "run") == []  # The last kill came after the last stage's record.
    for name in ("prompts", "sample", "rank", "label"):
        assert mine[name]["outputs"].keys() == undisturbed[name]["outputs"].keys()
        for file in mine[name]["outputs"]:
            if not file.endswith(".meta.json"):
                assert mine[name]["outputs"][file] == undisturbed[name]["outputs"][file], file
    for name in ("baseline", "train"):
        assert (
            mine[name]["outputs"]["model/model.safetensors"] == undisturbed[name]["outputs"]["model/model.safetensors"]
        )
    assert (tmp_path / "run" / "report.html").exists()


@pytest.mark.slow
def test_with_a_service_of_its_own_the_command_leaves_nothing_running_and_goes_on(
    content: Row,
    tmp_path: Path,
    llama: Build,
    tokenizer: PreTrainedTokenizerFast,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    model = tmp_path / "model"
    llama(vocab_size=len(tokenizer), max_position_embeddings=2048, spread=0.05).save_pretrained(model)
    tokenizer.save_pretrained(model)
    content = changed(_elsewhere(content, tmp_path), "model", name=str(model)) | {
        "label": {"rows_per_job": 1, "serve": ["--dtype", "float32"]}
    }
    (tmp_path / "recipe.toml").write_text(toml(content))
    command = ["run", str(tmp_path / "recipe.toml")]
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # a second thread is only waited for with a model of this size
    killed = Process([*COMMAND, *command], tmp_path / "log")
    wait_for(lambda: list((tmp_path / "run").glob("stages/label-*/*.partial/*.done")), 240, "the first labels")
    killed.send(signal.SIGSTOP)
    children = psutil.Process(killed.pid).children(recursive=True)
    killed.kill()
    assert len(children) >= 3  # The service, its store, its worker.
    wait_gone(children)
    assert "[2/6] sample" in killed.output()

    before = psutil.Process().children(recursive=True)
    assert cli.main(command) == 0
    wait_gone(set(psutil.Process().children(recursive=True)) - set(before))
    said = "".join(capsys.readouterr())
    assert re.search(r"\[2/6\] sample: .* \(unchanged\)", said)
    assert re.search(r"\[4/6\] label: \d+ responses, \d+ tokens \(in \d+ s\)", said)
    assert f"report: {tmp_path / 'run' / 'report.html'}" in said


def test_two_runs_in_one_directory_do_not_mix(content: Row, tmp_path: Path) -> None:
    from tokenreward.dataset.atomic import locked

    content = _elsewhere(content, tmp_path)
    (tmp_path / "run").mkdir()
    with locked(tmp_path / "run" / "lock"), pytest.raises(BadInput, match="another run of tokenreward is working"):
        run_recipe(recipe_of(content), progress=False)


# ---- recipes -----------------------------------------------------------------------------------------------


def test_every_shipped_recipe_can_be_read() -> None:
    assert "demo" in shipped()
    for name in shipped():
        read_recipe(name, ["--model.name", "some/model"])


def test_the_recipe_of_the_docs_can_be_read() -> None:
    page = (Path(__file__).parents[2] / "docs" / "pipeline.md").read_text("utf-8")
    found = re.search(r"```toml\n(.*?)```", page, re.DOTALL)
    assert found is not None
    recipe = recipe_of(tomllib.loads(found[1]))
    assert (recipe.sample.n, recipe.sample.max_tokens) == (5, 4096)


@pytest.mark.parametrize(
    ("section", "options", "says"),
    [
        ("sample", {"temprature": 1.0}, "unknown option sample.temprature .did you mean temperature"),
        ("sample", {"top_p": 2.0}, "sample.top_p = 2.0"),
        ("prompts", {"file": "x.jsonl"}, "prompts.file and prompts.sets: give one"),
        ("prompts", {"count": None}, "prompts.count is not set"),
        ("label", {"serve": ["--dtype"]}, "label.serve is for a service that is started here"),
        ("train", {"output_dir": "x"}, "train.output_dir is the run's own"),
        ("train", {"learning_rate": "1e-5"}, "train.learning_rate = '1e-5': Input should be a valid number"),
        ("train", {"method": "ppo"}, "unknown method 'ppo'"),
        ("train", {"report_to": "wandbb"}, "unknown report_to 'wandbb'"),
        ("train", {"label_smoothing_factor": 0.1}, "label_smoothing_factor"),
        ("train", {"lerning_rate": 1}, "unknown option train.lerning_rate .did you mean learning_rate"),
        ("train", {"reg_alpha": 0}, "report.baseline"),
        ("run", {"directory": ""}, "run.directory is not set"),
        ("model", {"name": ""}, "model.name is not set"),
    ],
)
def test_a_wrong_option_is_named(content: Row, section: str, options: Row, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        recipe_of(changed(content, section, **options))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--model.name", "./missing"], "model.name = './missing': no such directory"),
        (["--model.name", "some/model", "--rank.scorer", "bleu"], "unknown scorer 'bleu'"),
        (["--model.name", "some/model", "--rank.scorer", "reward_model:./none"], "rank.scorer = './none'"),
        (["--model.name", "some/model", "--rank.extra", "none.jsonl"], "rank.extra: none.jsonl: no such file"),
        (["--model.name", "some/model", "--prompts.sets", '["riddles"]'], "unknown family of prompts 'riddles'"),
        (["--model.name", "some/model", "--data.eval_share", "0.0"], "train.eval_strategy = 'epoch' needs held-out"),
    ],
)
def test_what_is_missing_is_found_by_a_check(options: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", "demo", "--check", *options]) == 1
    assert says in capsys.readouterr().err


def test_only_what_the_run_is_about_is_pushed(content: Row) -> None:
    recipe = recipe_of(changed(changed(content, "train", push_to_hub=True), "run", rounds=2))
    trainings = [stage for stage in stages_of(recipe) if stage.name.startswith(("train", "baseline"))]
    pushed = {stage.name: stage.options(recipe)["train"]["push_to_hub"] for stage in trainings}
    assert list(pushed.values()) == [False, False, True]
    assert "push_to_hub" not in stages_of(recipe_of(content))[-2].options(recipe_of(content))["train"]


def test_packed_weights_make_another_sft(content: Row, tmp_path: Path) -> None:
    (tmp_path / "sft.jsonl").write_text("{}")
    plain = changed(
        content | {"sft": {"file": str(tmp_path / "sft.jsonl")}, "lora": {"r": 4}}, "report", baseline=False
    )
    recipes = [recipe_of(plain), recipe_of(changed(plain, "model", quantization="nf4"))]
    first, second = (stages_of(recipe)[1].options(recipe) for recipe in recipes)
    assert first["load"] != second["load"]


def test_a_scorer_that_nobody_knows_is_named_before_anything_is_sampled(content: Row, tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="unknown scorer 'bleu'"):
        run_recipe(recipe_of(changed(_elsewhere(content, tmp_path), "rank", scorer="bleu")), progress=False)
    assert not (tmp_path / "run" / "stages").exists()


def test_the_command_lists_and_checks_recipes(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", "--list"]) == 0
    assert "demo " in capsys.readouterr().out
    assert cli.main(["run", "demo", "--check", "--model.name", "some/model"]) == 0
    assert cli.main(["run", "nothing.toml"]) == 1
    assert "no shipped configuration (demo" in capsys.readouterr().err
