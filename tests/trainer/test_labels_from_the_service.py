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
from tokenreward_trainer.training.pair_sources import targets_of

pytestmark = pytest.mark.trains


def named_otherwise(path: Path) -> None:
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    names = {"prompt": "question", "chosen": "better"}
    path.write_text("".join(json.dumps({names.get(key, key): row[key] for key in row}) + "\n" for row in rows))


def test_a_model_is_trained_on_labels_of_its_own_service(
    policy: Path, service: str, tmp_path: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    write_pairs(tmp_path / "pairs.jsonl", 8)
    write_pairs(tmp_path / "eval" / "pairs.jsonl", 2)
    named_otherwise(tmp_path / "pairs.jsonl")
    named_otherwise(tmp_path / "eval" / "pairs.jsonl")
    options = {
        "model.name": policy,
        "data.train": tmp_path / "pairs.jsonl",
        "data.eval": tmp_path / "eval" / "pairs.jsonl",
        "data.eval_share": 0,
        "data.columns": '{prompt = "question", chosen = "better"}',
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

    labeled = load_pairs(tmp_path / "out" / "labels" / "0-pairs.jsonl", tokenizer)
    columns = {"prompt": "question", "chosen": "better"}
    unlabeled = load_pairs(tmp_path / "pairs.jsonl", tokenizer, columns=columns)
    for with_labels, plain in zip(labeled.pairs, unlabeled.pairs, strict=True):
        # The worker and the trainer tokenize alike.
        assert with_labels.chosen == plain.chosen
        assert with_labels.rejected == plain.rejected
        assert with_labels.chosen_token_rewards is not None
        assert np.abs(with_labels.chosen_token_rewards).max() > 0


def test_files_of_one_name_are_labeled_into_different_files(tmp_path: Path) -> None:
    a, b, c = Path("a/x.jsonl"), Path("b/x.jsonl"), Path("y.jsonl")
    assert targets_of([a, c], tmp_path) == {a: tmp_path / "x.jsonl", c: tmp_path / "y.jsonl"}
    assert targets_of([a, b, c, a], tmp_path) == {
        a: tmp_path / "0-x.jsonl",
        b: tmp_path / "1-x.jsonl",
        c: tmp_path / "2-y.jsonl",
    }
