"""Jobs whose branches two base models score, on two workers: one result, whoever is slow, dies or is absent."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.harness.stack import Stack, http
from benchmarks.harness.undisturbed import rewards
from benchmarks.harness.waiting import wait_for
from tests.support.jobs import items, job, results, submit
from tokenreward.protocol import keys

pytestmark = pytest.mark.processes

SETTINGS = {
    "TOKENREWARD_SHARD_ITEMS": "5",
    "TOKENREWARD_LEASE_SECONDS": "2",
    "TOKENREWARD_RECONCILE_SECONDS": "0.3",
    "TOKENREWARD_CACHE_TTL_SECONDS": "0",
}
BOTH: dict[str, Any] = {"model": "one", "template": "opposite", "models": {"worse": "two"}, "include": ["logprobs"]}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Stack(tmp_path_factory.mktemp("two"), SETTINGS) as stack:
        stack.start_api()
        yield stack


@pytest.fixture
def stack(served: Stack) -> Iterator[Stack]:
    yield served
    while served.workers:
        served.workers.pop().kill()
    served.redis.flushall()


def start(stack: Stack, *names: str, **environment: str) -> None:
    before = len(http.get(stack.url + "/v1/workers").json()["workers"])
    for name in names:
        stack.start_worker(TOKENREWARD_MODEL_NAME=name, **environment)
    stack.wait_ready(before + len(names))


def check(stack: Stack, job_id: str, work: list[dict], failed: int = 0) -> list[dict]:
    ended = wait_for(lambda: (now := job(stack, job_id))["state"] == "succeeded" and now, 60, "the end")
    assert (ended["done_items"], ended["failed_items"]) == (len(work), failed)
    rows = results(stack, job_id)
    assert [row["id"] for row in rows] == [item["id"] for item in work]
    assert not stack.redis.exists(keys.parts(job_id)), "what was kept meanwhile is gone"
    return rows


def test_two_models_make_one_result_with_both_in_its_provenance(stack: Stack) -> None:
    start(stack, "one", "two")
    work = items(23)
    job_id = submit(stack, work, **BOTH)
    rows = check(stack, job_id, work)
    assert [row["rewards"] for row in rows] == rewards(work, "opposite")
    assert set(rows[0]["logprobs"]) == {"better", "worse"}
    provenance = job(stack, job_id)["provenance"]
    uses = [(use["fingerprint"]["model"], use["branches"]) for use in provenance["models"]]
    assert uses == [("one", ["better"]), ("two", ["worse"])]
    assert provenance["fingerprint"]["model"] == "one"
    done = {worker["model"]: worker["shards_done"] for worker in _workers(stack, 5)}
    assert done == {"one": 5, "two": 5}
    label = http.post(stack.url + "/v1/label", json={"items": work[:2], **BOTH}).json()
    assert [row["rewards"] for row in label["results"]] == rewards(work[:2], "opposite")


def _workers(stack: Stack, shards: int) -> list[dict]:
    def look() -> list[dict] | None:
        found: list[dict] = http.get(stack.url + "/v1/workers").json()["workers"]
        return found if all(worker["shards_done"] >= shards for worker in found) else None

    return wait_for(look, 10, "the workers' records")


def test_a_job_waits_for_the_model_that_is_absent_and_a_small_call_names_it(stack: Stack) -> None:
    start(stack, "one", "two")
    two = stack.workers.pop()
    two.stop()
    work = items(7)
    job_id = submit(stack, work, **BOTH)
    refused = http.post(stack.url + "/v1/label", json={"items": work, **BOTH})
    assert refused.status_code == 503
    assert refused.json()["detail"] == "No live worker serves two."
    waiting = wait_for(lambda: job(stack, job_id)["waiting"], 10, "that it waits")
    assert waiting["model"].startswith("two@")
    assert not waiting["retry"]
    start(stack, "two")
    assert [row["rewards"] for row in check(stack, job_id, work)] == rewards(work, "opposite")


@pytest.mark.parametrize("victim", ["one", "two"])
def test_a_killed_worker_of_either_model_costs_nothing_but_time(stack: Stack, victim: str) -> None:
    start(stack, "one", "two", TOKENREWARD_SYNTHETIC_RATE="20")
    work = items(20)
    job_id = submit(stack, work, **BOTH)
    wait_for(lambda: 0 < job(stack, job_id)["done_items"] < 20, 20, "work in progress")
    stack.workers.pop(["one", "two"].index(victim)).kill()
    stack.start_worker(TOKENREWARD_MODEL_NAME=victim)
    assert [row["rewards"] for row in check(stack, job_id, work)] == rewards(work, "opposite")


def test_an_item_that_the_first_model_cannot_score_fails_alone_and_a_retry_asks_both_again(stack: Stack) -> None:
    start(stack, "one")
    start(stack, "two", TOKENREWARD_SYNTHETIC_RATE="1000")
    work = items(4)
    work[2] |= {"response": "", "token_ids": [99_999]}
    del work[2]["response"]
    job_id = submit(stack, work, **BOTH)
    rows = check(stack, job_id, work, failed=1)
    assert rows[2]["error"]["code"] == "token_out_of_vocabulary"
    good = [item for n, item in enumerate(work) if n != 2]
    assert [row["rewards"] for n, row in enumerate(rows) if n != 2] == rewards(good, "opposite")
    assert http.post(f"{stack.url}/v1/jobs/{job_id}/retry").status_code == 200
    assert check(stack, job_id, work, failed=1)[2]["error"]["code"] == "token_out_of_vocabulary"


def test_a_cancelled_job_leaves_neither_model_anything_to_do(stack: Stack) -> None:
    start(stack, "one", "two", TOKENREWARD_SYNTHETIC_RATE="10")
    job_id = submit(stack, items(40), **BOTH)
    wait_for(lambda: stack.redis.exists(keys.parts(job_id)), 20, "the first model's turn")
    assert http.post(f"{stack.url}/v1/jobs/{job_id}/cancel").status_code == 200
    wait_for(lambda: not list(stack.redis.scan_iter(match="tr:shard:*")), 20, "the end of its shards")
    assert not stack.redis.exists(keys.parts(job_id))
    assert results(stack, job_id)[-1]["error"]["code"] == "cancelled"


def test_a_model_with_another_tokenizer_is_refused_and_both_are_named(stack: Stack, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from tests.support.tiny_checkpoint import save_checkpoint

    start(stack, "one")
    start(stack, "other", TOKENREWARD_SYNTHETIC_TOKENIZER=str(save_checkpoint(tmp_path / "model")))
    refused = http.post(
        stack.url + "/v1/jobs", json={"items": items(1), "model": "one", "models": {"worse": "other"}}
    ).json()
    assert refused["status"] == 422
    assert "names other, whose tokenizer" in refused["detail"]
    assert "is not that of one" in refused["detail"]
