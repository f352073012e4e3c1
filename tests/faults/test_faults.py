"""One of each fault, with real processes: every item ends with exactly one outcome, equal to an undisturbed run's."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import socket
import time
from pathlib import Path

import pytest

from benchmarks.harness.stack import Stack, http
from benchmarks.harness.undisturbed import rewards
from benchmarks.harness.waiting import patience, wait_for
from tests.support.jobs import SLOW, check_undisturbed, in_progress, items, job, results, submit


def test_a_killed_workers_shard_runs_elsewhere_within_ten_seconds(stack: Stack) -> None:
    victim = stack.start_worker()
    stack.wait_ready()
    work = items(30)
    job_id = submit(stack, work)
    wait_for(lambda: in_progress(stack, job_id), 20, "work in progress")
    victim.kill()
    killed = time.monotonic()
    stack.start_worker()
    wait_for(lambda: stack.redis.zcard("tr:claimed"), 10, "a new claim")
    check_undisturbed(stack, job_id, work)
    assert time.monotonic() - killed < patience(30)


def test_two_killed_workers_in_a_row_split_the_shard_and_lose_nothing(stack: Stack) -> None:
    work = items(20)
    job_id = submit_when_known(stack, work)
    for _ in range(2):
        victim = stack.workers[-1]
        wait_for(lambda: in_progress(stack, job_id) and stack.redis.zcard("tr:claimed"), 20, "work in progress")
        victim.kill()
        stack.start_worker()
    check_undisturbed(stack, job_id, work)


def submit_when_known(stack: Stack, work: list[dict]) -> str:
    stack.start_worker()
    stack.wait_ready()
    return submit(stack, work)


def test_a_killed_service_finds_its_jobs_again(stack: Stack) -> None:
    work = items(30)
    job_id = submit_when_known(stack, work)
    wait_for(lambda: in_progress(stack, job_id), 20, "work in progress")
    assert stack.api is not None
    stack.api.kill()
    stack.start_api()
    check_undisturbed(stack, job_id, work)


def test_a_killed_valkey_server_comes_back_with_everything_accepted(stack: Stack) -> None:
    work = items(40)
    job_id = submit_when_known(stack, work)
    wait_for(lambda: in_progress(stack, job_id), 20, "work in progress")
    assert stack.valkey is not None
    stack.valkey.kill()
    time.sleep(0.5)
    refused = http.get(f"{stack.url}/v1/jobs/{job_id}", timeout=patience(30))
    assert refused.status_code == 503
    assert int(refused.headers["retry-after"]) > 0
    stack.start_valkey()
    check_undisturbed(stack, job_id, work)


def test_a_worker_that_sleeps_past_its_lease_wakes_up_to_a_no_op(stack: Stack) -> None:
    work = items(20)
    job_id = submit_when_known(stack, work)
    sleeper = stack.workers[0]
    wait_for(lambda: in_progress(stack, job_id), 20, "work in progress")
    sleeper.send(signal.SIGSTOP)
    stack.start_worker()
    check_undisturbed(stack, job_id, work)
    before = results(stack, job_id)
    sleeper.send(signal.SIGCONT)
    wait_for(
        lambda: re.search("committed by somebody else|lost while it was scored", sleeper.output()), 20, "its no-op"
    )
    assert results(stack, job_id) == before
    assert job(stack, job_id)["done_items"] == len(work)


def test_the_only_worker_takes_its_lost_shards_up_again_after_a_long_sleep(stack: Stack) -> None:
    work = items(30)
    job_id = submit_when_known(stack, work)
    sleeper = stack.workers[0]
    wait_for(lambda: in_progress(stack, job_id), 20, "work in progress")
    sleeper.send(signal.SIGSTOP)
    wait_for(lambda: not stack.redis.zcard("tr:claimed"), 20, "the end of its leases")
    sleeper.send(signal.SIGCONT)
    check_undisturbed(stack, job_id, work)
    assert sleeper.popen.poll() is None, "the same process, not a new one"


def test_workers_racing_for_the_same_shards_do_each_once(stack: Stack) -> None:
    for _ in range(2):
        stack.start_worker()
    stack.wait_ready(2)
    work = items(40)
    job_id = submit(stack, work)
    fingerprint = http.get(stack.url + "/v1/models").json()["models"][0]["fingerprint_digest"]
    for key in stack.redis.scan_iter(match="tr:shard:*"):  # two more doorbells for every shard
        for _ in range(2):
            stack.redis.rpush(f"rq:queue:tokenreward-{fingerprint}", key.decode().removeprefix("tr:shard:"))
    check_undisturbed(stack, job_id, work)


@pytest.mark.parametrize("fault", ["POISON", "BUG"])  # the process is killed, or the thread of the engine raises
def test_a_poison_item_gets_its_own_error_and_the_rest_get_rewards(tmp_path: Path, fault: str) -> None:
    quick = {"TOKENREWARD_LEASE_SECONDS": "2", "TOKENREWARD_RECONCILE_SECONDS": "0.3", "TOKENREWARD_MAX_ATTEMPTS": "2"}
    with Stack(tmp_path, SLOW | quick) as stack:
        stack.start_api()
        # Two take turns, because a supervisor waits longer after every death of the same one.
        poison = {f"TOKENREWARD_SYNTHETIC_{fault}": "POISON", "TOKENREWARD_SYNTHETIC_RATE": "0"}
        stack.start_worker("--data-parallel", "2", supervised=True, **poison)
        stack.wait_ready(2)
        work = items(2)  # it takes both down twice, and then the one once more
        work[1] = work[1] | {"response": "this is POISON indeed"}
        job_id = submit(stack, work)
        ended = wait_for(lambda: (now := job(stack, job_id))["state"] == "succeeded" and now, 120, "the end")
        rows = results(stack, job_id)
    assert ended["failed_items"] == 1
    assert rows[1]["error"]["code"] == "poison"
    assert rows[1]["id"] == "1"
    assert [rows[0]["rewards"]] == rewards(work[:1])


def test_a_full_disk_refuses_new_work_with_503_and_loses_no_old_work(tmp_path: Path) -> None:
    with Stack(tmp_path, SLOW) as stack:
        stack.start_api()
        work = items(10)
        job_id = submit_when_known(stack, work)
        check_undisturbed(stack, job_id, work)
        assert stack.valkey is not None
        size = max(f.stat().st_size for f in (tmp_path / "appendonlydir").iterdir())
        resource.prlimit(stack.valkey.pid, resource.RLIMIT_FSIZE, (size + 20_000, resource.RLIM_INFINITY))
        big = [{"prompt": "p" * 4000 + str(n), "response": str(time.time_ns())} for n in range(2000)]
        refused = wait_for(
            lambda: (answer := http.post(stack.url + "/v1/jobs", json={"items": big})).status_code >= 500 and answer,
            20,
            "a refusal",
        )
        assert refused.status_code == 503
        resource.prlimit(stack.valkey.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        if stack.valkey.popen.poll() is not None:
            stack.start_valkey()
        check_undisturbed(stack, job_id, work)


def test_a_client_that_vanishes_mid_upload_leaves_nothing_behind(stack: Stack) -> None:
    stack.start_worker()
    stack.wait_ready()
    host, port = stack.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as raw:
        lines = [json.dumps({"prompt": os.urandom(1000).hex(), "response": "r"}).encode() for _ in range(3000)]
        head = f"POST /v1/jobs HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/x-ndjson\r\n"
        raw.sendall(head.encode() + b"Content-Length: 100000000\r\n\r\n" + b"\n".join(lines))
        wait_for(lambda: list(stack.redis.scan_iter(match="tr:job:*:items")), 10, "staged items")
    wait_for(lambda: not list(stack.redis.scan_iter(match="tr:job:*")), 10, "the draft to be abandoned")
    assert http.get(stack.url + "/v1/jobs").json()["jobs"] == []


def test_a_client_that_vanishes_mid_download_can_come_back(stack: Stack) -> None:
    work = items(20)
    job_id = submit_when_known(stack, work)
    check_undisturbed(stack, job_id, work)
    with http.stream("GET", f"{stack.url}/v1/jobs/{job_id}/results", timeout=patience(10)) as response:
        first = json.loads(next(response.iter_lines()))
    assert first["index"] == 0
    check_undisturbed(stack, job_id, work)
