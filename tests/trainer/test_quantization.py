"""QLoRA: an adapter that is trained on 4-bit weights (bitsandbytes, which runs on CPUs too)."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from tokenreward import cli
from tokenreward.errors import BadInput
from tokenreward_trainer.prompts.demo_pairs import write_pairs
from tokenreward_trainer.training.settings import run_of


@pytest.fixture
def arguments(tmp_path: Path, llama: Callable[..., LlamaForCausalLM], tokenizer: PreTrainedTokenizerFast) -> list[str]:
    """A QLoRA run of a tiny model on the demo's pairs."""
    llama(hidden_size=64, intermediate_size=128, head_dim=16).save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    write_pairs(tmp_path / "pairs.jsonl", 8)
    options = {
        "model.name": str(tmp_path / "model"),
        "model.dtype": "float32",
        "model.quantization": "nf4",
        "data.train": str(tmp_path / "pairs.jsonl"),
        "data.eval_share": "0.25",
        "labels.source": "surprisal",
        "lora.r": "2",
        "report.baseline": "false",
        "train.output_dir": str(tmp_path / "out"),
        "train.reference_cache": str(tmp_path / "cache"),
        "train.use_cpu": "true",
        "train.disable_tqdm": "true",
        "train.learning_rate": "1e-2",
        "train.gradient_checkpointing": "true",
        "train.num_train_epochs": "3",
        "train.warmup_steps": "0",
    }
    return ["train", "demo", *(part for name, value in options.items() for part in (f"--{name}", value))]


def test_an_adapter_is_trained_on_four_bit_weights(arguments: list[str], tmp_path: Path) -> None:
    pytest.importorskip("bitsandbytes")
    assert cli.main(arguments) == 0
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    losses = [entry["loss/preference"] for entry in record["log"] if "loss/preference" in entry]
    assert losses[-1] < losses[0]
    learned: list[Any] = record["examples"][0]["responses"][0]["learned_after"]
    assert max(map(abs, learned)) > 1e-4
    assert (tmp_path / "out" / "adapter_model.safetensors").exists()
    assert not (tmp_path / "out" / "model.safetensors").exists()


def test_four_bits_without_bitsandbytes_or_an_adapter_are_refused(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tokenreward_trainer.training.run_checks.find_spec", lambda name: None)
    assert cli.main([*arguments, "--check"]) == 1
    assert "needs bitsandbytes, which is not installed" in capsys.readouterr().err
    with pytest.raises(BadInput, match="an adapter has to be trained"):
        run_of({"model": {"name": "m", "quantization": "nf4"}, "data": {"train": "t"}})


def test_four_bits_are_not_sharded(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("bitsandbytes")
    assert cli.main([*arguments, "--train.fsdp", "true", "--check"]) == 1
    assert "does not go together with FSDP or DeepSpeed" in capsys.readouterr().err
