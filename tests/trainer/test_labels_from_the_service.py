"""The whole way: a tiny model is served, labels its own pairs, and is trained on them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from stack import running
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from tokenreward import cli
from tokenreward_trainer.data import load_pairs
from tokenreward_trainer.demo_pairs import write_pairs


def test_a_model_is_trained_on_labels_of_its_own_service(
    tmp_path: Path, llama: Callable[..., LlamaForCausalLM], tokenizer: PreTrainedTokenizerFast
) -> None:
    model = tmp_path / "model"
    llama(max_position_embeddings=2048).save_pretrained(model)
    tokenizer.save_pretrained(model)
    write_pairs(tmp_path / "pairs.jsonl", 8)
    with running(tmp_path, engine="transformers", TOKENREWARD_MODEL=str(model)) as stack:
        options = {
            "model.name": model,
            "data.train": tmp_path / "pairs.jsonl",
            "data.eval_share": 0.25,
            "labels.source": "service",
            "labels.url": stack.url,
            "report.baseline": "false",
            "train.output_dir": tmp_path / "out",
            "train.reference_cache": tmp_path / "cache",
            "train.use_cpu": "true",
            "train.disable_tqdm": "true",
        }
        arguments = [part for name, value in options.items() for part in (f"--{name}", str(value))]
        assert cli.main(["train", "demo", *arguments]) == 0
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    assert record["provenance"]["fingerprint"]["model"] == "model"
    assert record["provenance"]["estimator"] == "contrast"

    labeled = load_pairs(tmp_path / "out" / "labels" / "pairs.jsonl", tokenizer)
    unlabeled = load_pairs(tmp_path / "pairs.jsonl", tokenizer)
    for with_labels, plain in zip(labeled.pairs, unlabeled.pairs, strict=True):
        # The worker and the trainer tokenize alike.
        assert with_labels.chosen == plain.chosen
        assert with_labels.rejected == plain.rejected
        assert with_labels.chosen_rewards is not None
        assert np.abs(with_labels.chosen_rewards).max() > 0
