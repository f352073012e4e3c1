"""`tokenreward train` from a configuration to a report, with a tiny model on disk."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from tokenreward import cli
from tokenreward.errors import BadInput
from tokenreward_trainer.doubtful import DoubtfulOption
from tokenreward_trainer.prompts.demo_pairs import write_pairs
from tokenreward_trainer.training.checkpoints import last_checkpoint, remove_checkpoints
from tokenreward_trainer.training.settings import read_run, run_of, shipped
from tokenreward_trainer.training.trainings import arguments_of

pytestmark = pytest.mark.trains

Train = Callable[..., int]


@pytest.fixture
def model(tmp_path: Path, llama: Callable[..., LlamaForCausalLM], tokenizer: PreTrainedTokenizerFast) -> Path:
    path = tmp_path / "model"
    llama().save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


@pytest.fixture
def train(tmp_path: Path, model: Path) -> Train:
    """Runs the command on 12 of the demo's pairs; further arguments override."""
    write_pairs(tmp_path / "pairs.jsonl", 12)

    def run(*overrides: str, config: str = "demo") -> int:
        options = {
            "model.name": str(model),
            "data.train": str(tmp_path / "pairs.jsonl"),
            "data.eval_share": "0.25",
            "labels.source": "surprisal",
            "train.output_dir": str(tmp_path / "out"),
            "train.reference_cache": str(tmp_path / "cache"),
            "train.use_cpu": "true",
            "train.disable_tqdm": "true",
            "train.learning_rate": "1e-3",
        }
        arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
        return cli.main(["train", config, *arguments, *overrides])

    return run


def test_a_run_leaves_a_model_a_record_and_a_report(train: Train, tmp_path: Path, capsys: Any) -> None:
    assert train() == 0
    out = tmp_path / "out"
    assert str(out / "report.html") in capsys.readouterr().out
    LlamaForCausalLM.from_pretrained(out)
    record = json.loads((out / "run.json").read_text())
    assert record["name"] == "DPO-REG"
    assert record["pairs"] == 9
    assert record["labels"].startswith("surprisal")
    assert json.loads((out / "baseline" / "run.json").read_text())["name"] == "DPO"
    response = record["examples"][0]["responses"][0]
    assert len(response["tokens"]) == len(response["labels"]) == len(response["learned_after"])
    assert max(map(abs, response["learned_before"])) < 1e-4
    assert max(map(abs, response["learned_after"])) > 1e-4


def test_the_report_needs_nothing_else_and_shows_both_runs(train: Train, tmp_path: Path) -> None:
    train()
    page = (tmp_path / "out" / "report.html").read_text()
    assert "DPO beside DPO-REG" in page
    assert page.count("data:image/svg+xml;base64,") == 2
    assert not re.findall(r"(?:src|href)=[\"'](?!data:)", page)
    assert "<script" not in page
    assert page.count("<article>") == 3


def test_the_report_keeps_hostile_text_text(train: Train, tmp_path: Path) -> None:
    rows = (tmp_path / "pairs.jsonl").read_text().splitlines()
    hostile = json.loads(rows[-1]) | {"id": "<script>alert(1)</script>", "chosen": "<img src=x onerror=alert(1)>"}
    (tmp_path / "pairs.jsonl").write_text("\n".join([*rows[:-1], json.dumps(hostile)]))
    train("--report.baseline", "false", "--train.num_train_epochs", "1")
    page = (tmp_path / "out" / "report.html").read_text()
    assert "<script" not in page
    assert "<img src=x" not in page
    assert "&lt;script&gt;" in page


def test_a_lora_run_resumes_from_its_checkpoint(train: Train, tmp_path: Path) -> None:
    common = [
        "--report.baseline",
        "false",
        "--lora.r",
        "2",
        "--train.save_strategy",
        "steps",
        "--train.save_steps",
        "1",
    ]
    assert train(*common, "--train.per_device_train_batch_size=4") == 0
    assert (tmp_path / "out" / "adapter_config.json").exists()
    assert train(*common, "--train.per_device_train_batch_size=4", "--train.resume_from_checkpoint", "true") == 0


def test_a_checkpoint_that_a_kill_left_unfinished_is_not_resumed_from(tmp_path: Path) -> None:
    assert last_checkpoint(tmp_path) is None
    for step in (5, 10, 15):
        (tmp_path / f"checkpoint-{step}").mkdir()
    (tmp_path / "checkpoint-5" / "trainer_state.json").write_text('{"global_step": 5}')
    (tmp_path / "checkpoint-10" / "trainer_state.json").write_text('{"global_step": 10}')
    (tmp_path / "checkpoint-15" / "model.safetensors").write_text("half")
    assert last_checkpoint(tmp_path) == tmp_path / "checkpoint-10"
    assert not (tmp_path / "checkpoint-15").exists()


def test_a_checkpoint_that_a_kill_left_half_removed_is_not_resumed_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "checkpoint-5").mkdir()
    (tmp_path / "checkpoint-5" / "trainer_state.json").write_text('{"global_step": 5}')
    with monkeypatch.context() as patch:
        patch.setattr("shutil.rmtree", lambda _: None)  # Killed within.
        remove_checkpoints(tmp_path)
    assert last_checkpoint(tmp_path) is None


def test_a_run_that_was_killed_before_its_first_checkpoint_begins_anew(train: Train, tmp_path: Path) -> None:
    (tmp_path / "out" / "checkpoint-2").mkdir(parents=True)
    (tmp_path / "out" / "checkpoint-2" / "model.safetensors").write_text("half")
    assert train("--train.resume_from_checkpoint", "true") == 0
    assert json.loads((tmp_path / "out" / "run.json").read_text())["name"] == "DPO-REG"


def test_two_trainings_do_not_go_on_from_one_checkpoint(train: Train, tmp_path: Path, capsys: Any) -> None:
    assert train("--train.resume_from_checkpoint", str(tmp_path / "checkpoint-1")) == 1
    assert "with report.baseline there are two" in capsys.readouterr().err


def test_a_model_contrast_labels_with_an_adapter(train: Train, tmp_path: Path) -> None:
    assert train("--lora.r", "2", "--report.baseline", "false", "--train.output_dir", str(tmp_path / "strong")) == 0
    contrast = ["--labels.source", "contrast", "--labels.strong", str(tmp_path / "strong")]
    assert train(*contrast, "--train.method", "sepo", "--train.reg_alpha", "0", "--report.baseline", "false") == 0
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    assert record["name"] == "SEPO"
    assert "strong" in record["labels"]


def test_without_held_out_pairs_there_is_still_a_report(train: Train, tmp_path: Path) -> None:
    assert train("--data.eval_share", "0", "--train.eval_strategy", "no") == 0
    assert "No held-out pairs" in (tmp_path / "out" / "report.html").read_text()


def test_a_run_that_holds_out_all_pairs_is_refused(train: Train, tmp_path: Path, capsys: Any) -> None:
    write_pairs(tmp_path / "pairs.jsonl", 1)
    assert train("--data.eval_share", "0.9") == 1
    assert "data.eval_share = 0.9 of 1 pairs leaves none to train on" in capsys.readouterr().err


@pytest.mark.parametrize("name", sorted(shipped()))
def test_every_shipped_configuration_is_valid(name: str) -> None:
    run = read_run(name, ["--model.name", "m", "--data.train", "t.jsonl"])
    # bf16 needs a GPU to be accepted, and DeepSpeed to be installed; everything else must hold anywhere.
    train = {option: value for option, value in run.train.items() if option != "deepspeed"}
    arguments_of(run.model_copy(update={"train": train}), bf16=False, use_cpu=True)


def test_the_shipped_configurations_are_the_papers() -> None:
    """SimPO's table, alpha 0.25, 128 pairs a step; adapters with another learning rate."""
    found = {}
    for name, path in shipped().items():
        content = tomllib.loads(path.read_text())
        options = content["train"]
        if name == "demo":
            continue
        assert options["reg_alpha"] == 0.25
        pairs = options["per_device_train_batch_size"] * options.get("gradient_accumulation_steps", 1)
        assert pairs * content["hardware"]["cards"] == 128
        if "lora" in content:
            assert (options["method"], options["beta"], options["learning_rate"]) == ("dpo", 0.01, 5e-6)
            continue
        found[name] = (options["method"], options["beta"], options.get("gamma_ratio"), options["learning_rate"])
    assert found == {
        "gemma-2-9b-it-dpo-reg": ("dpo", 0.01, None, 5e-7),
        "gemma-2-9b-it-dpo-reg-zero3-8x80gb": ("dpo", 0.01, None, 5e-7),
        "gemma-2-9b-it-simpo-reg": ("simpo", 10.0, 0.5, 8e-7),
        "llama-3-8b-instruct-dpo-reg": ("dpo", 0.01, None, 3e-7),
        "llama-3-8b-instruct-dpo-reg-zero3-8x80gb": ("dpo", 0.01, None, 3e-7),
        "llama-3-8b-instruct-simpo-reg": ("simpo", 10.0, 0.3, 1e-6),
        "llama-3-8b-instruct-v0.1-dpo-reg": ("dpo", 0.01, None, 7e-7),
        "llama-3-8b-instruct-v0.1-simpo-reg": ("simpo", 2.5, 0.55, 1e-6),
    }


BASE: dict[str, Any] = {"model": {"name": "m"}, "data": {"train": "t"}}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"modle": {}}, r"unknown section modle \(did you mean model\?\)"),
        ({"model": {"nam": "x"}}, r"unknown option model.nam \(did you mean name\?\)"),
        ({"train": {"reg_alfa": 1}}, r"train.reg_alfa \(did you mean reg_alpha\?\)"),
        ({"data": {"train": "t", "max_length": "long"}}, "data.max_length = 'long'"),
        ({"data": {"train": "t", "eval_share": 1.5}}, "data.eval_share = 1.5"),
        ({"data": {"train": "t", "eval_share": True}}, "data.eval_share = True"),
        ({"data": {"train": "t", "limit": 0}}, "data.limit = 0"),
        ({"labels": {"source": "magic"}}, "labels.source = 'magic'"),
        ({"labels": {"source": "contrast"}}, "labels.strong"),
        ({"labels": {"strong": "x"}}, "go together"),
        ({"labels": {"weak": "x"}}, "labels.weak"),
        ({"lora": {"r": -1}}, "lora.r = -1"),
        ({"model": {}}, "model.name is not set"),
        ({"data": {}}, "data.train is not set"),
        ({"data": {"train": "t", "eval": "e", "eval_share": 0.1}}, "give one of them"),
        ({"report": {"baseline": True}}, "train.reg_alpha is 0"),
        ({"model": 5}, "model = 5"),
        ({"train": {"learning_rate": "1e-5"}}, "train.learning_rate = '1e-5': Input should be a valid number"),
        ({"train": {"seed": True}}, "train.seed = True: Input should be a valid integer"),
        ({"train": {"per_device_train_batch_size": 8.0}}, "train.per_device_train_batch_size = 8.0"),
        ({"train": {"bf16": 1}}, "train.bf16 = 1: Input should be a valid boolean"),
        ({"train": {"beta": "0.1"}}, "train.beta = '0.1'"),
        ({"train": {"method": 1}}, "train.method = 1: Input should be a valid string"),
        ({"train": {"report_to": 3}}, "train.report_to = 3"),
        ({"train": {"optim": "adamm"}}, "unknown train.optim 'adamm'.*known: .*adamw_torch"),
        ({"train": {"lr_scheduler_type": "cosinus"}}, "unknown train.lr_scheduler_type 'cosinus'"),
        ({"train": {"ddp_backend": "tcp"}}, "unknown train.ddp_backend 'tcp'; known: nccl, gloo"),
        ({"train": {"parallelism_config": {}}}, "train.parallelism_config"),
    ],
)
def test_a_wrong_configuration_names_the_option(content: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        run_of(BASE | content)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.toml"], "no such file, and no shipped configuration"),
        (["demo", "reg_alpha=1"], "options are --section.key value"),
        (["demo", "--reg_alpha", "1"], "options are --section.key value"),
        (["demo", "--train.beta"], "--train.beta needs a value"),
        (["demo", "--model.name", "m", "--data.train", "t", "--train.method", "ppo"], "unknown method 'ppo'"),
        (["demo", "--model.name", "m", "--data.train", "t", "--train.eval_strategy", "sometimes"], "sometimes"),
    ],
)
def test_wrong_usage_is_a_message_and_status_1(arguments: list[str], message: str, capsys: Any) -> None:
    assert cli.main(["train", *arguments, "--check"] if arguments[-1] != "--train.beta" else ["train", *arguments]) == 1
    assert message in capsys.readouterr().err


def test_a_model_that_is_not_there_is_a_message(train: Train, tmp_path: Path, capsys: Any) -> None:
    assert train("--model.name", str(tmp_path / "missing")) == 1
    assert "missing" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        ({"model.name": "missing/of/three"}, "model.name = 'missing/of/three': no such directory"),
        ({"model.name": "./missing"}, "model.name = './missing': no such directory"),
        ({"model.name": "."}, "has no config.json"),
        ({"model.reference": "/nowhere/at/all"}, "model.reference"),
        ({"labels.source": "contrast", "labels.strong": "./adapter"}, "labels.strong = './adapter'"),
        ({"data.train": "nowhere.jsonl"}, "data.train = 'nowhere.jsonl': no such file"),
        ({"data.eval": "nowhere.jsonl", "data.eval_share": "0.0"}, "data.eval = 'nowhere.jsonl'"),
        ({"data.eval_share": "0.99"}, "data.eval_share = 0.99 of 12 pairs leaves none to train on"),
        ({"data.eval_share": "0.01"}, "data.eval_share = 0.01 of 12 pairs holds out none"),
        ({"data.eval_share": "0.0"}, "train.eval_strategy = 'epoch' needs held-out pairs"),
        ({"data.limit": "10"}, "data.limit = 10 is more than the 9 pairs"),
        ({"train.resume_from_checkpoint": "nowhere", "report.baseline": "false"}, "no checkpoint is there"),
        ({"train.report_to": "wandbb"}, "unknown report_to 'wandbb'"),
        ({"train.label_smoothing_factor": "0.1"}, "label_smoothing_factor"),
    ],
)
def test_what_is_missing_or_impossible_is_found_without_a_model(
    overrides: dict[str, str],
    says: str,
    train: Train,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tokenreward_trainer.training.run.load_tokenizer", lambda _: pytest.fail("too late"))
    arguments = [part for name, value in overrides.items() for part in (f"--{name}", value)]
    assert train("--check", *arguments) == 1
    assert says in capsys.readouterr().err
    assert train("--check") == 0


def test_what_is_known_of_the_rows_stands_in_the_record(train: Train, tmp_path: Path) -> None:
    rows = [json.loads(line) for line in (tmp_path / "pairs.jsonl").read_text().splitlines()]
    rows[0]["rejected"] = rows[0]["chosen"]
    rows[1] |= {"chosen_score": 0.0, "rejected_score": 1.0}
    (tmp_path / "pairs.jsonl").write_text("\n".join(map(json.dumps, rows)))
    with pytest.warns(DoubtfulOption, match="were cut, 12 of them at the beginning of their prompt"):
        assert train("--report.baseline", "false", "--data.max_length", "20", "--data.max_prompt_length", "10") == 0
    found = json.loads((tmp_path / "out" / "run.json").read_text())["rows"]
    assert found == {
        "skipped": 0,
        "outside": 0,
        "truncated": 12,
        "prompts_cut": 12,
        "mismatched": 0,
        "swapped": 1,
        "equal": 1,
    }


def test_overrides_are_toml_or_text() -> None:
    run = read_run(
        "demo", ["--model.name", "a/b", "--data.train=t.jsonl", "--train.beta", "0.2", "--lora.target_modules", '["q"]']
    )
    assert run.model.name == "a/b"
    assert run.train["beta"] == 0.2
    assert run.lora.target_modules == ["q"]


def test_list_shows_the_shipped_configurations(capsys: Any) -> None:
    assert cli.main(["train", "--list"]) == 0
    assert "gemma-2-9b-it-simpo-reg" in capsys.readouterr().out


def test_the_demo_writes_the_same_pairs_everywhere(tmp_path: Path) -> None:
    write_pairs(tmp_path / "a.jsonl")
    write_pairs(tmp_path / "b.jsonl")
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()
    rows = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert len(rows) == 64
    assert len({row["id"] for row in rows}) == 64
    assert all(row["chosen"] != row["rejected"] for row in rows)


def test_importing_the_package_costs_nothing() -> None:
    import subprocess
    import sys

    code = "import sys, tokenreward_trainer.cli; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
