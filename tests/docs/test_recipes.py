"""The recipes for public data sets, on made-up rows of the same shape: each command ends with a labeled file."""

from __future__ import annotations

import gzip
import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from benchmarks.harness.stack import Stack
from tokenreward import cli

PAGE = (Path(__file__).parents[2] / "docs" / "recipes.md").read_text("utf-8")
COMMANDS = {
    heading: shlex.split(command)[1:]
    for heading, section in re.findall(r"^## (.+)\n((?:(?!^## )[\s\S])*)", PAGE, re.MULTILINE)
    for command in re.findall(r"^    (tokenreward label .+)$", section, re.MULTILINE)
}


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(heading: str, stack: Stack) -> int:
    return cli.main([*COMMANDS[heading], "--url", stack.url, "--quiet"])


def rows_of(path: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path).read_text("utf-8").splitlines()]


def test_transcripts_of_anthropic_are_parted_at_the_last_answer(synthetic: Stack) -> None:
    begins = "\n\nHuman: Hi.\n\nAssistant: Hello!\n\nHuman: What is 2+2?\n\nAssistant:"
    rows = [
        {"chosen": begins + " It is 4.", "rejected": begins + " It is 5."},
        {"chosen": begins + " It is 4.", "rejected": begins},
    ]
    Path("hh-rlhf/helpful-base").mkdir(parents=True)
    with gzip.open("hh-rlhf/helpful-base/train.jsonl.gz", "wt") as file:
        file.write("".join(json.dumps(row) + "\n" for row in rows))
    run("Anthropic HH", synthetic)
    (row,) = rows_of("labeled.jsonl")
    assert len(row["chosen_token_rewards"]) == len("It is 4.") + 1
    assert row["rejected_token_rewards"]
    (rejected,) = rows_of("labeled.jsonl.rejected.jsonl")
    assert "a response is empty" in rejected["reason"]


def test_the_columns_of_orca_are_read(synthetic: Stack) -> None:
    both = {"question": "What is 2+2?", "chosen": "It is 4.", "rejected": "It is 5."}
    rows = [{"system": "Be brief.", **both}, {"system": "", **both}]
    Path("orca_rlhf.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert run("Orca DPO pairs", synthetic) == 0
    assert all(row["chosen_token_rewards"] and row["rejected_token_rewards"] for row in rows_of("labeled.jsonl"))


def test_a_folder_of_ultrafeedback_is_read_by_its_split(synthetic: Stack) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    asked = {"role": "user", "content": "What is 2+2?"}
    answers = (("chosen", "4."), ("rejected", "5."))
    sides = {side: [asked, {"role": "assistant", "content": text}] for side, text in answers}
    row = {"prompt": "What is 2+2?", "prompt_id": "a", **sides, "messages": sides["chosen"], "score_chosen": 8.0}
    Path("ultrafeedback_binarized/data").mkdir(parents=True)
    for split in ("train_prefs", "test_prefs"):
        pq.write_table(pa.Table.from_pylist([row]), f"ultrafeedback_binarized/data/{split}-00000-of-00001.parquet")
    assert run("UltraFeedback, binarized", synthetic) == 0
    (found,) = pq.read_table("labeled.parquet").to_pylist()
    assert len(found["chosen_token_ids"]) == len(found["chosen_token_rewards"]) == len("4.") + 1


def test_other_names_of_columns_are_given(synthetic: Stack) -> None:
    Path("gsm8k.jsonl").write_text(json.dumps({"question": "What is 2+2?", "answer": "It is 4."}) + "\n")
    assert run("Other shapes", synthetic) == 0
    assert rows_of("labeled.jsonl")[0]["token_rewards"]
