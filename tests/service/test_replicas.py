"""Three API processes on one store, as replicas behind a balancer that sends every request somewhere else."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from benchmarks.harness.replicas import Replicas
from benchmarks.harness.stack import Stack, http
from benchmarks.harness.undisturbed import rewards
from benchmarks.harness.waiting import patience, wait_for
from tests.support.jobs import items
from tokenreward import Client

pytestmark = pytest.mark.processes


@pytest.fixture(scope="module")
def replicas(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replicas]:
    small = {"TOKENREWARD_SHARD_ITEMS": "10", "TOKENREWARD_LEASE_SECONDS": "3", "TOKENREWARD_CACHE_TTL_SECONDS": "0"}
    with Stack(tmp_path_factory.mktemp("replicas"), small) as stack:
        stack.start_worker()
        found = Replicas(stack, 3)
        stack.wait_ready()
        yield found
        found.stop()


def test_one_idempotency_key_makes_one_job_whichever_replica_hears_it(replicas: Replicas) -> None:
    body = {"items": items(30)}
    key = {"Idempotency-Key": uuid.uuid4().hex}

    def send(n: int) -> str:
        answer = http.post(replicas.urls[n % 3] + "/v1/jobs", json=body, headers=key)
        # While one replica still reads the first request, the others may say that it is in progress.
        return str(answer.json()["id"]) if answer.status_code == 202 else str(answer.status_code)

    with ThreadPoolExecutor(9) as pool:
        said = Counter(pool.map(send, range(9)))
    jobs = {answer for answer in said if len(answer) == 32}
    assert len(jobs) == 1
    assert set(said) - jobs <= {"409", "503"}
    assert {send(n) for n in range(3)} == jobs


def test_what_one_replica_accepted_is_watched_at_another_and_read_at_a_third(replicas: Replicas) -> None:
    work = items(40)
    job = http.post(replicas.urls[0] + "/v1/jobs", json={"items": work}).json()["id"]
    with Client(replicas.urls[1]) as client:
        assert client.jobs.wait(job, timeout=patience(60)).state == "succeeded"
    with Client(replicas.urls[2]) as client:
        assert [list(result.rewards or []) for result in client.jobs.results(job)] == rewards(work)


def test_small_calls_to_all_replicas_are_answered_right_and_to_the_right_caller(replicas: Replicas) -> None:
    def call(n: int) -> bool:
        work = [{"prompt": f"question {n}", "response": f"answer {n}"}]
        answer = http.post(replicas.urls[n % 3] + "/v1/label", json={"items": work}, headers={"Prefer": "wait=30"})
        return answer.status_code == 200 and [r["rewards"] for r in answer.json()["results"]] == rewards(work)

    with ThreadPoolExecutor(12) as pool:
        assert all(pool.map(call, range(60)))


def test_a_job_that_is_cancelled_at_one_replica_is_over_for_all(replicas: Replicas) -> None:
    job = http.post(replicas.urls[0] + "/v1/jobs", json={"items": items(400)}).json()["id"]
    with Client(replicas.urls[2]) as client, ThreadPoolExecutor(1) as pool:
        watched = pool.submit(client.jobs.wait, job, patience(60))
        http.post(f"{replicas.urls[1]}/v1/jobs/{job}/cancel").raise_for_status()
        assert watched.result().state == "cancelled"


def test_lost_work_is_taken_back_by_whichever_replica_is_left(replicas: Replicas) -> None:
    stack, work = replicas.stack, items(30)
    replicas.kill(replicas.urls[0])  # it may hold the reconciler's lock
    job = http.post(replicas.urls[1] + "/v1/jobs", json={"items": work}).json()["id"]
    wait_for(lambda: http.get(f"{replicas.urls[1]}/v1/jobs/{job}").json()["state"] != "queued", 20, "the claim")
    stack.workers.pop().kill()
    stack.start_worker()
    with Client(replicas.urls[2]) as client:
        client.jobs.wait(job, timeout=patience(60))
        assert [list(result.rewards or []) for result in client.jobs.results(job)] == rewards(work)
