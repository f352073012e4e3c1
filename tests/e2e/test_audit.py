"""The audit with the real demo model, through a real service."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.harness.stack import Stack
from tokenreward.commands import audit


@pytest.mark.timeout(600)
def test_surprisal_finds_replaced_numbers_and_misses_repeated_sentences(demo_model: Stack, tmp_path: Path) -> None:
    figures = tmp_path / "audit.json"
    arguments = [
        "--builtin",
        "number,repetition",
        "--limit",
        "12",
        "--templates",
        "revision",
        "--estimators",
        "contrast",
    ]
    assert audit.main([*arguments, "--json", str(figures), "--url", demo_model.url, "--quiet"]) == 0
    found = json.loads(figures.read_text())["figures"]
    value, low, _ = found["auroc"]["number"]["surprisal"]
    assert value > 0.6
    assert low > 0.5
    _, _, high = found["auroc"]["repetition"]["surprisal"]
    assert high < 0.5
    assert found["pairs"]["number"]["surprisal"][0] > 0.5
    assert found["pairs"]["repetition"]["surprisal"][0] < 0.5
    assert found["failed"] == 0


def test_an_emoji_of_several_tokens_is_bad_as_a_whole(demo_model: Stack, tmp_path: Path) -> None:
    text = "I like 北京 and \U0001f9d1\u200d\U0001f680 cafe\u0301s."
    path, figures = tmp_path / "mine.jsonl", tmp_path / "audit.json"
    start = text.index("\U0001f9d1")
    row = {"prompt": "What do you like?", "response": text, "bad_spans": [[start, start + 3]]}
    path.write_text(json.dumps(row))
    arguments = [str(path), "--templates", "opposite", "--estimators", "contrast", "--json", str(figures)]
    assert audit.main([*arguments, "--url", demo_model.url, "--quiet"]) == 0
    content = json.loads(figures.read_text())["spans"]["mine"]
    # The three characters are eleven bytes, none of which this tokenizer joins with a neighbour's.
    assert 3 <= content["bad_tokens"] <= 12
    assert content["unseen_spans"] == 0
    assert content["left_out_tokens"] == 1
