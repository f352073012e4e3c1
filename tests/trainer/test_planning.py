"""`tokenreward train --check`: memory by arithmetic, steps, tokens, and everything that would be refused."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
from transformers import MixtralConfig, MixtralForCausalLM

from benchmarks.harness.waiting import patience
from tokenreward import cli
from tokenreward_trainer.planning.check import plan_of
from tokenreward_trainer.planning.demand import demand_of
from tokenreward_trainer.planning.memory import GB, Demand, memory_of
from tokenreward_trainer.planning.model_shape import KNOWN, shape_of
from tokenreward_trainer.planning.words import arithmetic, in_words
from tokenreward_trainer.planning.workload import workload_of
from tokenreward_trainer.prompts.demo_pairs import write_pairs
from tokenreward_trainer.training.settings import read_run, run_of, shipped
from tokenreward_trainer.training.trainings import arguments_of

RECIPES = sorted(name for name in shipped() if name != "demo")
LLAMA = KNOWN["meta-llama/meta-llama-3-8b-instruct"]
GEMMA = KNOWN["google/gemma-2-9b-it"]


def test_known_shapes_have_the_published_numbers_of_weights() -> None:
    assert LLAMA.weights == 8_030_261_248
    assert GEMMA.weights == 9_241_705_984
    assert KNOWN["mistralai/mistral-7b-instruct-v0.2"].weights == 7_241_732_096
    assert KNOWN["qwen/qwen2.5-7b-instruct"].weights == 7_615_616_512
    assert LLAMA.adapter_weights(16, "all-linear") == 41_943_040
    assert LLAMA.adapter_weights(16, ["q_proj", "v_proj"]) == 6_815_744


@pytest.mark.parametrize("kind", ["llama", "gemma", "mixtral"])
def test_a_shape_that_is_read_off_a_configuration_counts_the_models_weights(
    kind: str, llama: Callable[..., Any], gemma: Callable[..., Any], tmp_path: Path
) -> None:
    if kind == "mixtral":
        sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_local_experts": 4}
        heads = {"num_attention_heads": 4, "num_key_value_heads": 2}
        model: Any = MixtralForCausalLM(MixtralConfig(vocab_size=320, **sizes, **heads))
    else:
        model = {"llama": llama, "gemma": gemma}[kind]()
    model.config.save_pretrained(tmp_path)
    shape, _ = shape_of(str(tmp_path))
    assert shape.weights == model.num_parameters()


def test_the_arithmetic_is_within_a_tenth_of_what_a_card_has_measured() -> None:
    """An H200 (benchmarks/results/gpu-h200.json): prompts of 64 to 192 tokens and completions of 96 to 320."""
    adapter = LLAMA.adapter_weights(16, "all-linear")
    parts = memory_of(Demand(LLAMA, adapter, 2, True, False, "none", 1, 2200, 512, True, "adamw_torch"), 139)
    allocated = sum(size for name, size in parts.items() if name not in ("driver and libraries", "fragmentation"))
    assert allocated / GB == pytest.approx(17.5, rel=0.1)


def comment_of(file: Path) -> str:
    """The sum of the memory that stands in a configuration, its lines joined."""
    lines = file.read_text("utf-8").splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("# Memory"))
    wrapped = takewhile(lambda line: line.startswith("#"), lines[first:])
    return " ".join(line.removeprefix("#").strip() for line in wrapped)


@pytest.mark.parametrize("name", RECIPES)
def test_a_shipped_recipe_fits_its_cards_and_says_what_it_needs(name: str) -> None:
    run = read_run(name)
    plan = plan_of(run)
    assert plan.card_gb == run.hardware.memory_gb
    assert plan.warnings == []
    assert 0 < plan.memory_gb < 0.97 * (plan.card_gb or 0)
    assert plan.workload is not None
    assert plan.workload.batch == 128
    assert plan.workload.steps == 469
    assert comment_of(shipped()[name]) == arithmetic(plan)
    assert "469 (60,000 pairs expected, 128 a step)" in in_words(name, plan, run.hardware)
    assert any("labeled.parquet" in refusal for refusal in plan.refusals)
    assert any("no GPU here computes in bfloat16" in refusal for refusal in plan.refusals)


def test_what_will_not_fit_is_said_with_what_makes_it_smaller() -> None:
    plan = plan_of(read_run("llama-3-8b-instruct-dpo-reg-qlora-1x24gb", ["--hardware.memory_gb", "12"]))
    assert plan.memory_gb > 12
    assert "will not fit" in plan.warnings[0]
    assert "quantization = 'nf4'" in plan.warnings[0]


def test_more_cards_share_what_is_sharded_and_nothing_else() -> None:
    def weights(sharding: str, cards: int) -> float:
        demand = Demand(LLAMA, LLAMA.weights, 4, True, False, sharding, cards, 4096, 2048, True, "adamw_torch")
        return memory_of(demand, 80)["weights"] / GB

    assert weights("none", 8) == pytest.approx(29.9, abs=0.1)
    assert weights("fsdp", 8) == pytest.approx(29.9 / 8, abs=0.1)
    assert weights("zero3", 8) == pytest.approx(29.9 / 16, abs=0.1)  # In bfloat16, beside the master weights.


@pytest.mark.slow
@pytest.mark.parametrize("command", [["train", "gemma-2-9b-it-dpo-reg"], ["run", "demo", "--model.name", "some/model"]])
def test_a_check_loads_no_code_of_models(command: list[str]) -> None:
    heavy = ("peft", "pandas", "sklearn", "transformers.modeling_utils", "torch._dynamo")
    code = (
        f"import sys; from tokenreward import cli; cli.main({[*command, '--check']!r}); "
        f"print([name for name in {heavy!r} if name in sys.modules], file=sys.stderr)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=patience(60))
    assert ran.stderr.splitlines()[-1] == "[]"


@pytest.mark.slow
def test_the_answer_comes_within_five_seconds_with_everything_that_is_wrong(tmp_path: Path) -> None:
    started = time.monotonic()
    ran = subprocess.run(
        [sys.executable, "-m", "tokenreward.cli", "train", "llama-3-8b-instruct-dpo-reg-zero3-8x80gb", "--check"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=patience(60),
    )
    taken = time.monotonic() - started
    assert ran.returncode == 1
    assert "8.03 billion weights" in ran.stdout
    assert "469 (60,000 pairs expected, 128 a step)" in ran.stdout
    for refusal in ("labeled.parquet", "bfloat16", "hardware.cards = 8, and here are 0 GPUs"):
        assert refusal in ran.stderr
    assert taken < patience(5)


def test_pairs_that_are_there_are_counted_and_measured(tmp_path: Path, policy: Path, capsys: Any) -> None:
    write_pairs(tmp_path / "pairs.jsonl", 12)
    options = {"model.name": str(policy), "data.train": str(tmp_path / "pairs.jsonl"), "data.eval_share": "0.25"}
    arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
    assert cli.main(["train", "demo", *arguments, "--train.use_cpu", "true", "--check"]) == 0
    out = capsys.readouterr().out
    assert "4 (9 pairs, 8 a step)" in out
    assert "about" in out
    assert "demo: fine" in out


def test_tokens_are_counted_whatever_shape_rows_have_and_however_they_are_packed(tmp_path: Path, policy: Path) -> None:
    pair = {"prompt": "p" * 400, "chosen": "c" * 200, "rejected": "r" * 200}
    renamed = {"question": pair["prompt"], "good": pair["chosen"], "rejected": pair["rejected"]}
    turns = [{"role": "user", "content": "p" * 400}, {"role": "assistant", "content": "c" * 400}]
    shapes: list[tuple[dict[str, Any], dict[str, Any]]] = [
        (pair, {}),
        (renamed, {"columns": {"prompt": "question", "chosen": "good"}}),
        ({"prompt": "p" * 400, "response": "c" * 400}, {}),
        ({"messages": turns}, {}),
    ]
    for row, data in shapes:
        file = tmp_path / "rows.jsonl.gz"
        with gzip.open(file, "wt") as lines:
            lines.write((json.dumps(row) + "\n") * 8)
        train = {"num_train_epochs": 1, "use_cpu": True}
        run = run_of({"model": {"name": str(policy)}, "data": {"train": str(file)} | data, "train": train})
        found = workload_of(run, arguments_of(run), cards=1)
        assert found is not None
        assert (found.pairs, found.tokens) == (8, 8 * 200), row


@pytest.mark.parametrize(("reference", "beside"), [(None, False), ("another", True)])
def test_a_live_reference_of_its_own_is_held_beside_an_adapter(reference: str | None, beside: bool) -> None:
    train = {"method": "tdpo2", "use_cpu": True}
    content = {"model": {"name": "m", "reference": reference}, "lora": {"r": 4}, "data": {"train": "t"}, "train": train}
    run = run_of(content)
    assert demand_of(run, arguments_of(run), LLAMA).live_reference == beside


def test_a_configuration_without_a_shape_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "mamba", "vocab_size": 9}))
    plan = plan_of(run_of({"model": {"name": str(tmp_path)}, "data": {"train": "t.jsonl"}}))
    assert plan.memory == {}
    assert any("no shape that is known here" in refusal for refusal in plan.refusals)
