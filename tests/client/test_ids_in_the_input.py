"""Rows that come with token ids: what was sampled is what is labeled, whatever its text would be tokenized into."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.harness.stack import Stack
from tests.support.fake_service import FakeService, reward
from tokenreward import BadInput, label_dataset

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

TOO_LONG = [ord(character) for character in "TOO LONG"]


def rows() -> list[dict[str, Any]]:
    """With ids that are not those of the text; without any; and ids that cannot be labeled."""
    return [
        {"prompt": "p", "chosen": "yes", "rejected": "no", "chosen_token_ids": [70, 71], "rejected_token_ids": [72]},
        {"prompt": "p", "chosen": "yes", "rejected": "no", "chosen_token_ids": [73], "rejected_token_ids": None},
        {"prompt": "p", "chosen": "yes", "rejected": "no", "chosen_token_ids": TOO_LONG, "rejected_token_ids": [74]},
    ]


def check(written: list[dict[str, Any]]) -> None:
    assert [row["chosen_token_ids"] for row in written] == [[70, 71], [73], TOO_LONG]
    assert [row["rejected_token_ids"] for row in written] == [[72], [ord("n"), ord("o")], [74]]
    assert written[0]["chosen_token_rewards"] == pytest.approx([reward("F", 0), reward("G", 1)])
    assert written[2]["chosen_token_rewards"] is None
    assert written[2]["chosen_token_error"].startswith("too_long")
    assert list(written[0])[:5] == list(rows()[0])


def test_ids_of_jsonl_rows_are_sent_and_stay(service: FakeService, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows()))
    label_dataset(tmp_path / "in.jsonl", tmp_path / "out.jsonl", url=service.url)
    check([json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()])


def test_ids_of_parquet_rows_are_sent_and_stay(service: FakeService, tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_pylist(rows()), tmp_path / "in.parquet")
    label_dataset(tmp_path / "in.parquet", tmp_path / "out.parquet", url=service.url)
    written = pq.read_table(tmp_path / "out.parquet")
    check(written.to_pylist())
    assert written.schema.field("chosen_token_ids").type == pa.list_(pa.int32())


def test_other_ids_are_other_work(service: FakeService, tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text(json.dumps(rows()[0]))
    label_dataset(path, tmp_path / "out.jsonl", url=service.url)
    path.write_text(json.dumps(rows()[0] | {"chosen_token_ids": [70, 72]}))
    with pytest.raises(BadInput, match="input differ"):
        label_dataset(path, tmp_path / "out.jsonl", url=service.url)


def test_a_real_service_rewards_the_very_ids(synthetic: Stack, tmp_path: Path) -> None:
    """The synthetic engine's tokens are bytes: it would never cut this text into these."""
    given = [
        {"prompt": "p", "response": "same text", "token_ids": [5, 6, 7]},
        {"prompt": "p", "response": "same text"},
        {"prompt": "p", "response": "same text", "finished": False},
    ]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in given))
    label_dataset(tmp_path / "in.jsonl", tmp_path / "out.jsonl", url=synthetic.url)
    ids, text, unfinished = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert ids["token_ids"] == [5, 6, 7]
    assert len(ids["token_rewards"]) == 3
    assert len(text["token_ids"]) == len("same text") + 1
    assert unfinished["token_ids"] == text["token_ids"][:-1]
