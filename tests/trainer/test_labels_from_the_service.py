"""The whole way: a tiny model is served, labels its own pairs, and is trained on them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from transformers import PreTrainedTokenizerFast

from tokenreward import cli
from tokenreward_trainer.data.labeled_pairs import load_pairs
from tokenreward_trainer.prompts.demo_pairs import write_pairs

pytestmark = pytest.mark.trains


def test_a_model_is_trained_on_labels_of_its_own_service(
    policy: Path, service: str, tmp_path: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    write_pairs(tmp_path / "pairs.jsonl", 8)
    options = {
        "model.name": policy,
        "data.train": tmp_path / "pairs.jsonl",
        "data.eval_share": 0.25,
        "labels.source": "service",
        "labels.url": service,
        "report.baseline": "false",
        "train.output_dir": tmp_path / "out",
        "train.reference_cache": tmp_path / "cache",
        "train.use_cpu": "true",
        "train.disable_tqdm": "true",
    }
    arguments = [part for name, value in options.items() for part in (f"--{name}", str(value))]
    assert cli.main(["train", "demo", *arguments]) == 0
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    assert record["provenance"]["fingerprint"]["model"] == policy.name
    assert record["provenance"]["estimator"] == "contrast"

    labeled = load_pairs(tmp_path / "out" / "labels" / "pairs.jsonl", tokenizer)
    unlabeled = load_pairs(tmp_path / "pairs.jsonl", tokenizer)
    for with_labels, plain in zip(labeled.pairs, unlabeled.pairs, strict=True):
        # The worker and the trainer tokenize alike.
        assert with_labels.chosen == plain.chosen
        assert with_labels.rejected == plain.rejected
        assert with_labels.chosen_token_rewards is not None
        assert np.abs(with_labels.chosen_token_rewards).max() > 0
