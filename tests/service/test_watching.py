"""What an operator sees: metrics, readiness, and log lines that hold ids and no content."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import httpx2
import pytest

from benchmarks.harness.stack import Stack, running
from benchmarks.harness.waiting import wait_for
from tokenreward.protocol import keys
from tokenreward.protocol.spill import Spill
from tokenreward.protocol.worker_records import WorkerRecord
from tokenreward_workers.store.heartbeat import Heartbeat
from tokenreward_workers.store.job_store import JobStoreClient

text_string_to_metric_families = pytest.importorskip("prometheus_client.parser").text_string_to_metric_families


def metrics(stack: Stack) -> dict[str, dict[tuple[str, ...], float]]:
    answer = httpx2.get(stack.url + "/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            labels = tuple(value for name, value in sorted(sample.labels.items()))
            found.setdefault(sample.name, {})[labels] = sample.value
    return found


def test_metrics_tell_what_happened(synthetic: Stack) -> None:
    before = sum(metrics(synthetic)["tokenreward_worker_items_total"].values())
    body = {"items": [{"prompt": "p", "response": f"metric {n}"} for n in range(10)]}
    job = httpx2.post(synthetic.url + "/v1/jobs", json=body).json()["id"]
    wait_for(lambda: sum(metrics(synthetic)["tokenreward_worker_items_total"].values()) >= before + 10, 20, "the items")
    for nonsense in ("/nope/1", "/nope/2", f"/v1/jobs/{job}"):
        httpx2.get(synthetic.url + nonsense)
    seen = metrics(synthetic)
    requests = seen["tokenreward_http_requests_total"]
    assert requests["POST", "/v1/jobs", "202"] >= 1
    assert requests["GET", "/v1/jobs/{job_id}", "200"] >= 1
    assert not any("nope" in route or job in route for _, route, _ in requests)
    assert seen["tokenreward_shards"].keys() == {("queued",), ("claimed",)}
    assert seen["tokenreward_store_up"] == {(): 1.0}
    assert list(seen["tokenreward_worker_up"].values()) == [1.0]
    for name in ("queue_shards", "queue_age_seconds", "recoveries_total", "store_memory_bytes", "model_workers"):
        assert seen[f"tokenreward_{name}"], name
    for name in ("computed_tokens_total", "branches_total", "rescored_branches_total", "steps_total"):
        assert seen[f"tokenreward_worker_{name}"], name
    for name in ("tokens_total", "cache_hits_total", "busy_ratio", "busy_seconds_total", "seen_seconds"):
        assert seen[f"tokenreward_worker_{name}"], name
    assert seen["tokenreward_http_request_seconds_bucket"]


@pytest.mark.parametrize("ahead", [-3600, -20, 3600])
def test_a_worker_whose_clock_is_wrong_is_alive_all_the_same(
    synthetic: Stack, monkeypatch: pytest.MonkeyPatch, ahead: float
) -> None:
    (record,) = httpx2.get(synthetic.url + "/v1/workers").json()["workers"]
    other = WorkerRecord.model_validate(record | {"id": "other"})
    pulse = Heartbeat(
        JobStoreClient(synthetic.redis, "other", other.fingerprint_digest, Spill(None, 1), 20), lambda: other
    )
    real = time.time
    with monkeypatch.context() as patched:
        patched.setattr(time, "time", lambda: real() + ahead)
        pulse.beat()
    try:
        known = {worker["id"] for worker in httpx2.get(synthetic.url + "/v1/workers").json()["workers"]}
        assert known == {record["id"], "other"}
        assert abs((synthetic.redis.zscore(keys.WORKERS, "other") or 0) - real() - 15) < 10, "nobody sweeps it away"
        synthetic.redis.delete(keys.worker("other"))  # as its expiry does
        assert len(httpx2.get(synthetic.url + "/v1/workers").json()["workers"]) == 1
    finally:
        synthetic.redis.zrem(keys.WORKERS, "other")
        synthetic.redis.delete(keys.worker("other"))


def test_the_queue_shows_its_depth_and_age(synthetic: Stack) -> None:
    synthetic.workers[0].send(19)
    try:
        httpx2.post(synthetic.url + "/v1/jobs", json={"items": [{"prompt": "p", "response": "waits"}]})
        seen = wait_for(
            lambda: any((now := metrics(synthetic))["tokenreward_queue_age_seconds"].values()) and now, 10, "an age"
        )
    finally:
        synthetic.workers[0].send(18)
    assert sum(seen["tokenreward_queue_shards"].values()) >= 1


def test_readiness_is_of_a_model(synthetic: Stack) -> None:
    worker = httpx2.get(synthetic.url + "/v1/workers").json()["workers"][0]
    for name in (worker["model"], f"{worker['model']}@{worker['fingerprint_digest']}"):
        assert httpx2.get(synthetic.url + "/readyz", params={"model": name}).json()["workers"] == 1
    refused = httpx2.get(synthetic.url + "/readyz", params={"model": "another"})
    assert refused.status_code == 503
    assert "retry-after" in refused.headers


def test_a_request_has_an_id_that_its_caller_may_choose(synthetic: Stack) -> None:
    assert (
        httpx2.get(synthetic.url + "/healthz", headers={"X-Request-ID": "mine-1"}).headers["x-request-id"] == "mine-1"
    )
    for bad in ("", "a b", "x" * 65, '"}'):
        assert len(httpx2.get(synthetic.url + "/nope", headers={"X-Request-ID": bad}).headers["x-request-id"]) == 32


def test_json_logs_hold_ids_and_neither_content_nor_secrets(tmp_path: Path) -> None:
    with running(tmp_path, TOKENREWARD_LOG_FORMAT="json") as stack:
        secret = {"Authorization": "Bearer trk_secret", "X-Request-ID": "my-request"}
        body = {"items": [{"prompt": "my-private-prompt", "response": "my-private-answer"}, {"prompt": "my-private"}]}
        job = httpx2.post(stack.url + "/v1/jobs?dry_run=false", json=body, headers=secret).json()["id"]
        httpx2.get(f"{stack.url}/v1/jobs/{job}?x=my-private", headers=secret)
        httpx2.post(stack.url + "/v1/jobs", content="my-private", headers=secret)
        assert stack.api is not None
        output = stack.api.output

        def mine_so_far() -> list[dict[str, Any]]:
            lines = [json.loads(line) for line in output().splitlines() if line.startswith("{")]
            return [line for line in lines if line.get("request") == "my-request"]

        # A request's line is written after its answer has left, so the last one may come a moment later.
        wait_for(lambda: len(mine_so_far()) >= 3, 10, "three lines")
        mine = mine_so_far()
        assert [(line["method"], line["route"], line["status"]) for line in mine] == [
            ("POST", "/v1/jobs", 202),
            ("GET", "/v1/jobs/{job_id}", 200),
            ("POST", "/v1/jobs", 400),
        ]
        assert mine[1]["job"] == job
        assert "my-private" not in stack.api.output()
        assert "trk_secret" not in stack.api.output()
