"""What the job machinery promises beyond surviving faults: cancelling stops work, small work overtakes, blobs spill."""

from __future__ import annotations

import json
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

from rq import Queue

from benchmarks.harness.stack import Stack, http, running
from benchmarks.harness.waiting import patience, wait_for
from tests.support.jobs import check_undisturbed, in_progress, items, job, results, submit
from tokenreward.protocol import keys
from tokenreward.protocol.arrow_blobs import Entry, pack_failures
from tokenreward.protocol.records import JobSlice, Shard, commit_args, dump_shards
from tokenreward.protocol.scripts import Scripts
from tokenreward.protocol.worker_records import connection_name
from tokenreward.schema import ItemFailure


def test_cancel_stops_the_work_inside_a_shard(stack: Stack) -> None:
    stack.start_worker(TOKENREWARD_SYNTHETIC_RATE="0.5")
    stack.wait_ready()
    doomed = submit(stack, items(10))  # one shard of 20 seconds
    wait_for(lambda: stack.redis.zcard("tr:claimed"), 20, "the claim")
    started = time.monotonic()
    assert http.post(f"{stack.url}/v1/jobs/{doomed}/cancel").json()["state"] == "cancelled"
    work = items(1)
    check_undisturbed(stack, submit(stack, work), work, seconds=20)
    assert time.monotonic() - started < min(patience(10), 19), "the worker was not busy with what nobody wants"


def test_a_cancelled_job_that_is_retried_at_once_is_scored_in_full(stack: Stack) -> None:
    stack.start_worker(TOKENREWARD_SYNTHETIC_RATE="2")
    stack.wait_ready()
    work = items(12)  # one shard in the engine for five seconds, the next one ready behind it
    job_id = submit(stack, work)
    wait_for(lambda: stack.redis.zcard("tr:claimed") == 2, 20, "two claims")
    assert http.post(f"{stack.url}/v1/jobs/{job_id}/cancel").json()["state"] == "cancelled"
    time.sleep(0.6)  # the worker renews its leases, and hears of it
    http.post(f"{stack.url}/v1/jobs/{job_id}/retry").raise_for_status()
    check_undisturbed(stack, job_id, work)


def test_nothing_from_before_a_cancel_reaches_the_retried_job(stack: Stack) -> None:
    """By hand, as a worker that holds half of a slice, and half of a shard that two jobs share."""
    scripts = Scripts(stack.redis)
    worker = stack.start_worker(TOKENREWARD_SYNTHETIC_RATE="0")
    stack.wait_ready()
    worker.send(signal.SIGSTOP)
    fingerprint = http.get(stack.url + "/v1/models").json()["models"][0]["fingerprint_digest"]
    work = items(8)
    ids = {name: submit(stack, work) for name in ("whole", "shared", "bystander")}
    for key in [*stack.redis.scan_iter(match="tr:shard:*"), *stack.redis.scan_iter(match="tr:job:*:shards")]:
        stack.redis.delete(key)
    members = {name: JobSlice(job=job_id, slice=0, offset=0, count=8) for name, job_id in ids.items()}
    half = Shard(fp=fingerprint, members=[members["whole"].halves()[0]])
    both = Shard(fp=fingerprint, members=[members["shared"], members["bystander"]])
    scripts.queue(args=[dump_shards([half, both])])
    stack.redis.client_setname(connection_name("by-hand"))
    for shard in (half, both):
        assert scripts.claim(args=["", "by-hand", 60, shard.id])
    for name in ("whole", "shared"):
        http.post(f"{stack.url}/v1/jobs/{ids[name]}/cancel").raise_for_status()
        http.post(f"{stack.url}/v1/jobs/{ids[name]}/retry").raise_for_status()
    told = json.loads(scripts.renew(args=["by-hand", 60, fingerprint, half.id, both.id]))
    assert told["owed"] == {both.id: [ids["bystander"]]}
    entries = [Entry(item["id"]) for item in work]
    failed = pack_failures(0, entries, ItemFailure(code="cancelled", message="by hand"))
    assert scripts.commit(args=commit_args(half.id, [(half.members[0], 4, 0, b"i" + failed)])) == 0
    assert scripts.commit(args=commit_args(both.id, [(member, 8, 0, b"i" + failed) for member in both.members])) == 1
    assert job(stack, ids["bystander"])["failed_items"] == 8
    worker.send(signal.SIGCONT)
    for name in ("whole", "shared"):
        check_undisturbed(stack, ids[name], work)


def test_thousands_of_doorbells_that_ring_for_nothing_are_gone_at_once(stack: Stack) -> None:
    worker = stack.start_worker(TOKENREWARD_SYNTHETIC_RATE="0")
    stack.wait_ready()
    worker.send(signal.SIGSTOP)
    cancelled = submit(stack, items(100))  # ten shards
    http.post(f"{stack.url}/v1/jobs/{cancelled}/cancel").raise_for_status()
    (queue,) = stack.redis.smembers("rq:queues")
    stack.redis.rpush(queue, *(uuid4().hex for _ in range(20_000)))
    work = items(10)
    job_id = submit(stack, work)
    worker.send(signal.SIGCONT)
    check_undisturbed(stack, job_id, work, seconds=15)
    wait_for(lambda: stack.redis.llen(queue) == 0, 10, "the doorbells to go")
    wait_for(lambda: not list(stack.redis.scan_iter(match="rq:job:*", count=1000)), 10, "their records to go")


def test_interactive_work_overtakes_bulk_work(stack: Stack) -> None:
    stack.start_worker()
    stack.wait_ready()
    bulk = submit(stack, items(300))  # 30 shards of half a second
    wait_for(lambda: in_progress(stack, bulk), 20, "work in progress")
    answer = http.post(
        stack.url + "/v1/label",
        json={"items": [{"prompt": "quick", "response": "one"}]},
        headers={"Prefer": "wait=20"},
        timeout=patience(40),
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


def test_a_job_of_an_earlier_version_whose_directive_is_too_long_today_still_ends(stack: Stack) -> None:
    stack.start_worker()
    stack.wait_ready()
    stack.workers.pop().stop()
    shipped = http.get(stack.url + "/v1/templates").json()["templates"]
    template = next(found for found in shipped if found["name"] == "opposite")
    own = {"name": "own", "branches": template["branches"]}
    job_id = submit(stack, items(3), template=own)
    options = json.loads(stack.redis.hget(keys.job(job_id), "options"))
    options["template"]["branches"]["better"]["directive"] += " And well." * 2500
    stack.redis.hset(keys.job(job_id), "options", json.dumps(options))
    assert job(stack, job_id)["state"] == "queued"
    assert job_id in [listed["id"] for listed in http.get(stack.url + "/v1/jobs").json()["jobs"]]
    stack.start_worker()
    ended = wait_for(lambda: (now := job(stack, job_id))["state"] == "succeeded" and now, 60, "the end")
    assert ended["done_items"] == 3
    for row in results(stack, job_id):
        assert row["rewards"] or row["error"]["code"] == "too_long"
    options["template"]["branches"]["better"]["directive"] = "x" * 20_001
    refused = http.post(stack.url + "/v1/jobs", json={"items": items(1), "template": options["template"]})
    assert refused.status_code == 422, "what is new keeps the limit"


def test_an_estimator_that_a_worker_does_not_know_fails_the_items_and_not_the_worker(stack: Stack) -> None:
    worker = stack.start_worker(TOKENREWARD_SYNTHETIC_RATE="0")
    stack.wait_ready()
    worker.send(signal.SIGSTOP)
    job_id = submit(stack, items(2))
    options = stack.redis.hget(f"tr:job:{job_id}", "options")
    stack.redis.hset(f"tr:job:{job_id}", "options", options.replace(b'"contrast"', b'"of-tomorrow"'))
    worker.send(signal.SIGCONT)
    wait_for(lambda: job(stack, job_id)["state"] == "succeeded", 20, "the end")
    for row in results(stack, job_id):
        assert row["error"]["code"] == "engine_error"
        assert "unknown estimator 'of-tomorrow'" in row["error"]["message"]
    assert worker.popen.poll() is None
