"""What a run leaves for others: a model card, a merged model, and a repository on the hub."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from benchmarks.harness.waiting import patience
from tests.support.hub_server import hub
from tokenreward import cli
from tokenreward_trainer.prompts.demo_pairs import write_pairs
from tokenreward_trainer.training.model_card import card_of
from tokenreward_trainer.training.run_record import RunRecord

pytestmark = pytest.mark.trains


def options(policy: Path, out: Path, pairs: Path) -> list[str]:
    """`tokenreward train` with an adapter on a tiny policy."""
    values = {
        "model.name": str(policy),
        "data.train": str(pairs),
        "data.eval_share": "0.25",
        "labels.source": "surprisal",
        "lora.r": "2",
        "report.baseline": "false",
        "train.output_dir": str(out),
        "train.reference_cache": str(out.parent / "cache"),
        "train.use_cpu": "true",
        "train.disable_tqdm": "true",
        "train.learning_rate": "1e-2",
    }
    return ["train", "demo", *(part for name, value in values.items() for part in (f"--{name}", value))]


@pytest.fixture(scope="module")
def run(policy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output directory of a run that trained an adapter."""
    folder = tmp_path_factory.mktemp("published")
    write_pairs(folder / "pairs.jsonl", 8)
    assert cli.main(options(policy, folder / "out", folder / "pairs.jsonl")) == 0
    return folder / "out"


def test_the_card_says_method_strength_labels_data_and_figures(run: Path, policy: Path) -> None:
    card = (run / "README.md").read_text()
    head, body = card.removeprefix("---\n").split("\n---\n")
    metadata = dict(line.split(": ", 1) for line in head.splitlines())
    assert json.loads(metadata["base_model"]) == str(policy)
    assert json.loads(metadata["library_name"]) == "peft"
    assert "dpo" in json.loads(metadata["tags"])
    assert "DPO-REG, beta 0.1, T-REG's token-level regulariser with alpha 0.25" in body
    assert "Token rewards: surprisal under" in body
    assert "6 pairs for training, 2 held out." in body
    assert "pairs.jsonl`" in body
    record = RunRecord.read(run / "run.json")
    accuracy = record.final("eval_rewards/accuracies")
    assert accuracy is not None
    assert f"| accuracy | {accuracy:.4g} |" in body


def test_the_card_of_service_labels_names_their_maker(run: Path) -> None:
    record = RunRecord.read(run / "run.json")
    fingerprint = {
        "model": "m",
        "engine": "vllm",
        "engine_version": "1",
        "dtype": "bfloat16",
        "tokenizer_hash": "abc",
    }
    provenance: dict[str, Any] = {
        "fingerprint": fingerprint,
        "template": "revision",
        "estimator": "contrast",
        "tokenreward_version": "9.9",
    }
    object.__setattr__(record, "provenance", provenance)
    assert "Token rewards by `m` (vllm 1, bfloat16), template `revision`, estimator `contrast`" in card_of(record)


def test_a_merged_model_is_whole_and_says_what_base_and_adapter_say(run: Path, policy: Path, tmp_path: Path) -> None:
    out = tmp_path / "merged"
    assert cli.main(["merge", str(run), "--out", str(out)]) == 0
    assert not (out / "adapter_config.json").exists()
    assert '"transformers"' in (out / "README.md").read_text()
    assert RunRecord.read(out / "run.json").name == "DPO-REG"
    assert AutoTokenizer.from_pretrained(out).chat_template == AutoTokenizer.from_pretrained(policy).chat_template
    ids = torch.tensor([[5, 6, 7, 8]])
    base = AutoModelForCausalLM.from_pretrained(policy)
    plain = base(ids).logits.detach()
    adapted = PeftModel.from_pretrained(base, run)(ids).logits
    merged = AutoModelForCausalLM.from_pretrained(out)(ids).logits
    torch.testing.assert_close(merged, adapted, rtol=1e-4, atol=1e-4)
    assert (merged - plain).abs().max() > 1e-2


def test_merging_refuses_what_would_be_applied_twice_or_overwritten(
    run: Path, policy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["merge", str(run), "--out", str(run)]) == 1
    assert "holds something already" in capsys.readouterr().err
    assert cli.main(["merge", str(policy), "--out", str(tmp_path / "m")]) == 1
    assert "holds no adapter" in capsys.readouterr().err
    assert not (tmp_path / "m").exists()
    assert cli.main(["merge", str(run), "--out", str(tmp_path / "m"), "--base", str(tmp_path / "nowhere")]) == 1
    assert "no such directory" in capsys.readouterr().err


def pushed(policy: Path, folder: Path, url: str) -> subprocess.CompletedProcess[str]:
    """A run that pushes, in a process whose hub is `url`."""
    write_pairs(folder / "pairs.jsonl", 8)
    arguments = options(policy, folder / "out", folder / "pairs.jsonl")
    environment = {"HF_ENDPOINT": url, "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1", "HF_TOKEN": "hf_made_up"}
    return subprocess.run(
        [sys.executable, "-m", "tokenreward.cli", *arguments, "--train.push_to_hub", "true"],
        env=os.environ | environment | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=patience(120),
    )


def test_a_run_pushes_model_record_and_card_once(policy: Path, tmp_path: Path) -> None:
    with hub() as server:
        ran = pushed(policy, tmp_path, server.url)
    assert ran.returncode == 0, ran.stderr
    assert f"pushed: {server.url}/somebody/out/commit/" in ran.stdout
    assert server.repositories == ["out"]
    assert server.messages == ["DPO-REG"]
    assert {"adapter_model.safetensors", "adapter_config.json", "tokenizer.json", "run.json"} < server.files.keys()
    assert "T-REG's token-level regulariser" in server.files["README.md"].decode()
    assert not any(name.startswith(("checkpoint", "baseline", "labels")) for name in server.files)
    weights = (tmp_path / "out" / "adapter_model.safetensors").read_bytes()
    assert server.files["adapter_model.safetensors"] == weights


@pytest.mark.slow
def test_a_hub_that_refuses_loses_nothing(policy: Path, tmp_path: Path) -> None:
    with hub(refuses=True) as server:
        ran = pushed(policy, tmp_path, server.url)
    assert ran.returncode == 1
    assert "the model is in" in ran.stderr
    assert "the hub does not take it" in ran.stderr
    assert (tmp_path / "out" / "adapter_model.safetensors").exists()
    assert (tmp_path / "out" / "run.json").exists()
