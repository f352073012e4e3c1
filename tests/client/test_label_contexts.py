"""`tokenreward label` with context fields: ranked siblings, columns, pooling, and what is kept on request."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.harness.stack import Stack
from tests.support.fake_service import FakeService
from tests.support.rows import read, write
from tokenreward.commands import label
from tokenreward.dataset import label_dataset
from tokenreward.errors import BadInput

RANKED = {
    "prompt": "What is 2+2?",
    "chosen": "Four.",
    "rejected": "Five.",
    "responses": [
        {"text": "Four.", "score": 1.0, "token_ids": [1], "finished": True, "source": "policy"},
        {"text": "It is 4.", "score": 1.0, "token_ids": [2], "finished": True, "source": "policy"},
        {"text": "Five.", "score": 0.0, "token_ids": [3], "finished": True, "source": "policy"},
        {"text": "Six.", "score": 0.0, "token_ids": [4], "finished": True, "source": "policy"},
    ],
}


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_ranked_pairs_are_labeled_by_their_siblings_with_one_command(
    tmp_path: Path, synthetic: Stack, suffix: str
) -> None:
    pairs, out = write(tmp_path / f"pairs{suffix}", RANKED), tmp_path / f"out{suffix}"
    arguments = [str(pairs), "--out", str(out), "--template", "siblings", "--estimator", "rlcsd", "--quiet"]
    assert label.main([*arguments, "--url", synthetic.url, "--include", "logprobs,difference"]) == 0
    (row,) = read(out)
    for side in ("chosen", "rejected"):
        rewards, kept = row[f"{side}_token_rewards"], row[f"{side}_token_logprobs"]
        assert len(rewards) == len(row[f"{side}_token_ids"]) == len(row[f"{side}_token_differences"])
        count = 2 if side == "chosen" else 1  # a rejected response is no hint for itself
        assert [branch["branch"] for branch in kept] == ["right", *(f"wrong[{k}]" for k in range(count))]


def test_the_estimator_alone_picks_its_template_and_a_parameter_is_part_of_the_plan(
    tmp_path: Path, synthetic: Stack
) -> None:
    pairs, out = write(tmp_path / "pairs.jsonl", RANKED), tmp_path / "out.jsonl"
    arguments = [str(pairs), "--out", str(out), "--estimator", "rlcsd", "--quiet", "--url", synthetic.url]
    assert label.main([*arguments, "--parameter", "tau=0.5"]) == 0
    meta = json.loads((tmp_path / "out.jsonl.meta.json").read_text("utf-8"))
    assert meta["provenance"]["template"] == "siblings"
    assert meta["provenance"]["parameters"] == {"tau": 0.5, "k": 3}
    with pytest.raises(BadInput, match="parameters"):
        label.main([*arguments, "--parameter", "tau=0.25"])


def test_a_response_without_siblings_gets_its_own_error(tmp_path: Path, synthetic: Stack) -> None:
    alone = {**RANKED, "responses": RANKED["responses"][::2]}
    out = tmp_path / "out.jsonl"
    done = label_dataset(write(tmp_path / "in.jsonl", RANKED, alone), out, estimator="rlcsd", url=synthetic.url)
    assert (done.responses, done.failed) == (4, 2)
    assert "'right'" in read(out)[1]["chosen_token_error"]


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_a_column_is_a_context_and_segments_are_kept(tmp_path: Path, synthetic: Stack, suffix: str) -> None:
    rows = write(tmp_path / f"in{suffix}", {"prompt": "Q", "response": "One. Two.", "solution": "Two."})
    out = tmp_path / f"out{suffix}"
    options: dict[str, Any] = {"pool": "sentence", "include": ["segments"], "contexts": {"reference": "solution"}}
    label_dataset(rows, out, estimator="privileged", url=synthetic.url, **options)
    (row,) = read(out)
    assert [(s["start"], s["end"]) for s in row["segments"]] == [(0, 4), (5, 9)]
    assert row["segments"][0]["reward"] == pytest.approx(row["token_rewards"][0], abs=1e-6)


def test_spans_of_a_column_are_pooled_over(tmp_path: Path, synthetic: Stack) -> None:
    rows = write(tmp_path / "in.jsonl", {"prompt": "Q", "response": "One. Two.", "spans": [[0, 4]]})
    label_dataset(rows, tmp_path / "out.jsonl", pool="spans", include=["segments"], url=synthetic.url)
    assert [(s["start"], s["end"]) for s in read(tmp_path / "out.jsonl")[0]["segments"]] == [(0, 4)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"estimator": "rlcsd"}, "row|line.*no column 'responses'"),
        ({"estimator": "privileged", "contexts": {"reference": "answer"}}, "no column 'answer'"),
        ({"estimator": "rlcsd", "parameters": {"tua": 1.0}}, "did you mean tau"),
        ({"pool": "spans"}, "no column 'spans'"),
    ],
)
def test_what_is_missing_is_said_before_anything_is_paid_for(
    tmp_path: Path, synthetic: Stack, options: dict[str, Any], message: str
) -> None:
    rows = write(tmp_path / "in.jsonl", {"prompt": "Q", "response": "A"})
    with pytest.raises(BadInput, match=message):
        label_dataset(rows, tmp_path / "out.jsonl", url=synthetic.url, **options)
    assert not list(tmp_path.glob("out*"))


@pytest.mark.parametrize("more", [{"parameters": {"tau": 0.3}}, {"pool": "word"}, {"include": ["difference"]}])
def test_options_that_are_left_out_later_are_another_labeling(
    tmp_path: Path, synthetic: Stack, more: dict[str, Any]
) -> None:
    rows, out = write(tmp_path / "in.jsonl", RANKED), tmp_path / "out.jsonl"
    label_dataset(rows, out, estimator="rlcsd", url=synthetic.url, **more)
    with pytest.raises(BadInput, match="labeled otherwise"):
        label_dataset(rows, out, estimator="rlcsd", url=synthetic.url)


def test_the_other_side_of_a_pair_is_its_response_without_the_common_prompt(tmp_path: Path, synthetic: Stack) -> None:
    rows = write(tmp_path / "in.jsonl", {"chosen": "Q: 2+2? A: 4", "rejected": "Q: 2+2? A: 5"})
    options: dict[str, Any] = {"estimator": "edit", "contexts": {"revised": "@chosen"}, "tokens": True}
    label_dataset(rows, tmp_path / "out.jsonl", url=synthetic.url, **options)
    (row,) = read(tmp_path / "out.jsonl")
    assert "".join(row["rejected_tokens"][:-1]).strip() == "5"
    assert min(row["rejected_token_rewards"]) == -0.5


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_a_response_out_of_a_list_has_the_others_of_its_list_as_siblings(
    tmp_path: Path, service: FakeService, suffix: str
) -> None:
    listed = {"prompt": RANKED["prompt"], "responses": RANKED["responses"]}
    rows, out = write(tmp_path / f"in{suffix}", listed), tmp_path / f"out{suffix}"
    label_dataset(rows, out, estimator="rlcsd", url=service.url)
    (job,) = service.jobs.values()
    assert [item["context"] for item in job.items] == [
        {"right": "It is 4.", "wrong": ["Six.", "Five."]},
        {"right": "Four.", "wrong": ["Six.", "Five."]},
        {"right": "Four.", "wrong": ["Six."]},
        {"right": "Four.", "wrong": ["Five."]},
    ]
    assert [len(row["responses"]) for row in read(out)] == [1, 1, 1, 1]
