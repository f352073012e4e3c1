"""The recipes for public data sets, on made-up rows of the same shape: each ends with a labeled file."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from benchmarks.harness.stack import Stack
from tokenreward import label_dataset

PAGE = (Path(__file__).parents[2] / "docs" / "recipes.md").read_text("utf-8")
SNIPPETS = {
    heading: code
    for heading, section in re.findall(r"^## (.+)\n((?:(?!^## )[\s\S])*)", PAGE, re.MULTILINE)
    for code in re.findall(r"```python\n(.*?)```", section, re.DOTALL)
}


def written(path: str, rows: list[dict[str, Any]]) -> None:
    Path(path).write_text("".join(json.dumps(row) + "\n" for row in rows))


def labeled(source: str, stack: Stack) -> list[dict[str, Any]]:
    label_dataset(source, "labeled.jsonl", url=stack.url)
    return [json.loads(line) for line in Path("labeled.jsonl").read_text().splitlines()]


def test_transcripts_of_anthropic_become_pairs(
    synthetic: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    begins = "\n\nHuman: Hi.\n\nAssistant: Hello! Human: is what you are?\n\nHuman: Yes. What is 2+2?\n\nAssistant:"
    rows = [
        {"chosen": begins + " It is 4.", "rejected": begins + " It is 5."},
        {"chosen": begins + " It is 4.", "rejected": begins},
        {"chosen": begins + " It is 4.", "rejected": "\n\nHuman: What?\n\nAssistant: No."},
    ]
    written("hh-rlhf.jsonl", rows)
    exec(compile(SNIPPETS["Anthropic HH"], "recipe", "exec"), {})  # noqa: S102 (our own page)
    (row,) = labeled("pairs.jsonl", synthetic)
    assert [turn["role"] for turn in row["prompt"]] == ["user", "assistant", "user"]
    assert row["prompt"][1]["content"] == "Hello! Human: is what you are?"
    assert row["rejected"] == [{"role": "assistant", "content": "It is 5."}]
    assert row["chosen_token_rewards"]
    assert row["rejected_token_rewards"]


def test_columns_of_orca_become_pairs(synthetic: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    both = {"question": "What is 2+2?", "chosen": "It is 4.", "rejected": "It is 5."}
    written("orca_rlhf.jsonl", [{"system": "Be brief.", **both}, {"system": "", **both}])
    exec(compile(SNIPPETS["Orca DPO pairs"], "recipe", "exec"), {})  # noqa: S102 (our own page)
    rows = labeled("pairs.jsonl", synthetic)
    assert [[turn["role"] for turn in row["prompt"]] for row in rows] == [["system", "user"], ["user"]]
    assert all(row["chosen_token_rewards"] and row["rejected_token_rewards"] for row in rows)


def test_ultrafeedback_is_labeled_as_it_is(synthetic: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    monkeypatch.chdir(tmp_path)
    asked = {"role": "user", "content": "What is 2+2?"}
    sides = {
        side: [asked, {"role": "assistant", "content": text}] for side, text in (("chosen", "4."), ("rejected", "5."))
    }
    row = {"prompt": "What is 2+2?", "prompt_id": "a", **sides, "messages": sides["chosen"]}
    pq.write_table(pa.Table.from_pylist([row | {"score_chosen": 8.0, "score_rejected": 2.0}]), "train.parquet")
    done = label_dataset("train.parquet", "labeled.parquet", url=synthetic.url)
    (found,) = pq.read_table("labeled.parquet").to_pylist()
    assert (done.responses, done.failed) == (2, 0)
    assert len(found["chosen_token_ids"]) == len(found["chosen_token_rewards"]) == len("4.") + 1
