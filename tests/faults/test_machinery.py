"""What the job machinery promises beyond surviving faults: cancelling stops work, small work overtakes, blobs spill."""

from __future__ import annotations

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from rq import Queue
from stack import Stack, http, running, wait_for

from faults.test_faults import check_undisturbed, in_progress, items, job, results, submit


def test_cancel_stops_the_work_inside_a_shard(stack: Stack) -> None:
    stack.start_worker(TOKENREWARD_SYNTHETIC_RATE="0.5")
    stack.wait_ready()
    doomed = submit(stack, items(10))  # one shard of 20 seconds
    wait_for(lambda: stack.redis.zcard("tr:claimed"), 20, "the claim")
    started = time.monotonic()
    assert http.post(f"{stack.url}/v1/jobs/{doomed}/cancel").json()["state"] == "cancelled"
    work = items(1)
    check_undisturbed(stack, submit(stack, work), work, seconds=20)
    assert time.monotonic() - started < 10, "the worker was not busy with what nobody wants"


def test_interactive_work_overtakes_bulk_work(stack: Stack) -> None:
    stack.start_worker()
    stack.wait_ready()
    bulk = submit(stack, items(300))  # 30 shards of half a second
    wait_for(lambda: in_progress(stack, bulk), 20, "work in progress")
    answer = http.post(
        stack.url + "/v1/label",
        json={"items": [{"prompt": "quick", "response": "one"}]},
        headers={"Prefer": "wait=20"},
        timeout=40,
    )
    assert answer.status_code == 200
    assert job(stack, bulk)["done_items"] < 100


def test_concurrent_small_calls_share_shards(synthetic: Stack) -> None:
    def counts() -> tuple[int, int]:
        (worker,) = http.get(synthetic.url + "/v1/workers").json()["workers"]
        return worker["items_done"], worker["shards_done"]

    def call(n: int) -> int:
        body = {"items": [{"prompt": "p", "response": f"r{n}"}]}
        return len(http.post(synthetic.url + "/v1/label", json=body).json()["results"][0]["rewards"])

    items_before, shards_before = counts()
    with ThreadPoolExecutor(32) as pool:
        assert all(pool.map(call, range(200)))
    wait_for(lambda: counts()[0] >= items_before + 200, 20, "the record")
    assert counts()[1] - shards_before < 150


def test_large_payloads_spill_to_a_directory_and_vanish_with_their_job(tmp_path: Path) -> None:
    blobs = tmp_path / "blobs"
    settings = {"TOKENREWARD_BLOB_URL": str(blobs), "TOKENREWARD_SPILL_BYTES": "1000"}
    with running(tmp_path, **settings) as stack:
        work = [{"prompt": "p", "response": "some words " * 200 + str(n), "id": str(n)} for n in range(20)]
        job_id = submit(stack, work)
        check_undisturbed(stack, job_id, work)
        assert list(blobs.rglob("*.arrow"))
        http.delete(f"{stack.url}/v1/jobs/{job_id}").raise_for_status()
        assert not list(blobs.rglob("*.arrow"))


def test_a_finished_job_expires(tmp_path: Path) -> None:
    with running(tmp_path, TOKENREWARD_JOB_TTL_SECONDS="1") as stack:
        job_id = submit(stack, items(2))
        wait_for(lambda: http.get(f"{stack.url}/v1/jobs/{job_id}").status_code == 404, 20, "the expiry")
        assert not list(stack.redis.scan_iter(match=f"tr:job:{job_id}*"))
        assert http.get(stack.url + "/v1/jobs").json()["jobs"] == []


def test_what_was_forged_in_redis_is_neither_run_nor_fatal(stack: Stack, tmp_path: Path) -> None:
    proof = tmp_path / "executed"
    stack.start_worker(TOKENREWARD_SYNTHETIC_RATE="0")
    stack.wait_ready()
    fingerprint = http.get(stack.url + "/v1/models").json()["models"][0]["fingerprint_digest"]
    queue = Queue(f"tokenreward-{fingerprint}", connection=stack.redis)  # pickle, as RQ does by default
    queue.enqueue("os.system", f"touch {proof}")
    redis = stack.redis
    redis.rpush(queue.key, b"\xff\xfe", "no-such-shard", "x" * 10_000)
    redis.hset("rq:job:junk", mapping={"data": b"\x80\x04", "created_at": "never", "timeout": "soon"})
    redis.rpush(queue.key, "junk")
    members = json.dumps([{"job": "nobody", "slice": -1, "offset": 0, "count": 1}])
    for name, content in {"s1": "{not json", "s2": "[]", "s3": members}.items():
        redis.hset(f"tr:shard:{name}", mapping={"state": "queued", "fp": fingerprint, "members": content})
        redis.rpush(queue.key, name)
    redis.set("tr:worker:evil", b"\xff" * 100)
    redis.zadd("tr:workers", {"evil": time.time() + 1000, b"\xff": time.time() + 1000})
    redis.hset("tr:models", mapping={"evil": "{}", fingerprint + "x": "null"})
    good = items(5)
    job_id = submit(stack, good)
    check_undisturbed(stack, job_id, good, seconds=30)
    redis.hset(f"tr:job:{job_id}:results", "0", b"i" + b"ARROW1\0\0" * 10)
    assert http.get(f"{stack.url}/v1/workers").status_code == 200
    assert http.get(f"{stack.url}/v1/models").status_code == 200
    assert http.get(f"{stack.url}/v1/jobs/{job_id}").status_code == 200
    check_undisturbed(stack, submit(stack, good), good, seconds=30)
    assert stack.workers[0].popen.poll() is None, "the worker lives"
    assert not proof.exists()


@pytest.mark.vllm
@pytest.mark.timeout(600)
@pytest.mark.skipif(sys.platform != "linux", reason="vLLM is for Linux")
def test_an_engine_core_killed_inside_a_shard_is_restarted_and_every_item_gets_its_rewards(tmp_path: Path) -> None:
    with running(tmp_path, engine="vllm", TOKENREWARD_CACHE_TTL_SECONDS="0") as stack:
        work = items(24)
        undisturbed = finished_rewards(stack, submit(stack, work))
        job_id = submit(stack, work)
        wait_for(lambda: stack.redis.zcard("tr:claimed"), 30, "the claim")
        engine_core(stack).kill()
        again = finished_rewards(stack, job_id, seconds=300)
        assert http.get(stack.url + "/v1/workers").json()["workers"][0]["engine_restarts"] >= 1
    assert [len(rewards) for rewards in again] == [len(rewards) for rewards in undisturbed]
    for ours, theirs in zip(again, undisturbed, strict=True):
        assert ours == pytest.approx(theirs, abs=0.1)  # bf16 in other batch shapes


def finished_rewards(stack: Stack, job_id: str, seconds: float = 120) -> list[list[float]]:
    wait_for(lambda: job(stack, job_id)["state"] == "succeeded", seconds, "the end")
    return [row["rewards"] for row in results(stack, job_id)]


def engine_core(stack: Stack) -> psutil.Process:
    family = psutil.Process(stack.workers[0].pid).children(recursive=True)
    return next(process for process in family if "EngineCore" in " ".join(process.cmdline()))
