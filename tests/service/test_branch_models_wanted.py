"""Moments, the likeliest ids and named ids of a job whose branches an adapter and another base model score."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from benchmarks.harness.stack import Stack, http
from benchmarks.harness.waiting import wait_for
from tests.support import jobs

pytest.importorskip("torch")
from benchmarks.harness.adapters import save_adapter
from tests.support.tiny_checkpoint import chat_tokenizer, save_checkpoint
from tests.support.tiny_models import build_llama

pytestmark = pytest.mark.processes

ITEMS = [
    {"prompt": "How many?", "token_ids": [65, 66, 67], "named_ids": [7, 65]},
    {"prompt": "How many more?", "token_ids": list(range(60, 90)), "named_ids": [[n, 9] for n in range(30)]},
]
KINDS = ["logprobs", "moments", "top", "named"]
ASKED: dict[str, Any] = {"template": "opposite", "model": "one", "include": KINDS, "top_k": 4}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Two tiny models in float32 with one tokenizer, and an adapter of the first. Rows are cached."""
    folder = tmp_path_factory.mktemp("models")
    rows = len(chat_tokenizer())
    paths = {
        name: save_checkpoint(folder / name, model=build_llama(vocab_size=rows, num_hidden_layers=2, seed=seed))
        for seed, name in enumerate(("one", "two"))
    }
    adapter = save_adapter(paths["one"], folder / "adapter", r=4, lora_alpha=16)
    with Stack(folder, {"TOKENREWARD_DTYPE": "float32"}) as stack:
        for name, path in paths.items():
            own = {"TOKENREWARD_ADAPTERS": f"dpo={adapter.folder}"} if name == "one" else {}
            stack.start_worker(engine="transformers", TOKENREWARD_MODEL=str(path), TOKENREWARD_MODEL_NAME=name, **own)
        stack.start_api()
        stack.wait_ready(2)
        yield stack


def results(stack: Stack, **options: Any) -> list[dict[str, Any]]:
    answer = http.post(stack.url + "/v1/label", json={"items": ITEMS} | ASKED | options)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["results"]
    assert [row.get("error") for row in found] == [None, None]
    return found


def of_branch(rows: list[dict[str, Any]], branch: str) -> list[dict[str, Any]]:
    return [{kind: row[kind][branch] for kind in KINDS} for row in rows]


def close(one: Any, other: Any) -> bool:
    """Whether two answers hold the same: rows that share a pass with others differ in their last bits."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(close(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(close, one, other))
    return bool(one == pytest.approx(other, abs=1e-4))


def test_each_branch_holds_what_its_own_model_says(stack: Stack) -> None:
    mixed = results(stack, models={"better": "dpo", "worse": "two"})
    assert mixed == results(stack, models={"better": "dpo", "worse": "two"}), "cached by what was asked"
    adapted = results(stack, models={"better": "dpo"})
    alone, other = results(stack), results(stack, model="two")
    assert close(of_branch(mixed, "better"), of_branch(adapted, "better"))
    assert close(of_branch(mixed, "worse"), of_branch(other, "worse"))
    assert not close(of_branch(mixed, "better"), of_branch(alone, "better"))
    assert not close(of_branch(mixed, "worse"), of_branch(alone, "worse"))


def test_a_job_over_two_models_keeps_them_as_well(stack: Stack) -> None:
    body = {"items": ITEMS} | ASKED | {"models": {"better": "dpo", "worse": "two"}}
    expected = results(stack, models=body["models"])
    made = http.post(stack.url + "/v1/jobs", json=body).json()["id"]
    ended = wait_for(lambda: (now := jobs.job(stack, made))["state"] == "succeeded" and now, 60, "the end")
    uses = {use["branches"][0]: use["fingerprint"] for use in ended["provenance"]["models"]}
    assert (uses["better"]["adapter"], uses["better"]["model"], uses["worse"]["model"]) == ("dpo", "one", "two")
    rows = jobs.results(stack, made)
    for branch in ("better", "worse"):
        assert close(of_branch(rows, branch), of_branch(expected, branch))
