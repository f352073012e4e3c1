"""Three hosts: one with the API and Redis, two with a worker each. One of these is cut off in the middle of a job."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.harness.processes import COMMAND, Process
from benchmarks.harness.stack import http
from benchmarks.harness.undisturbed import rewards
from benchmarks.harness.waiting import wait_for
from tests.deploy import hosts
from tokenreward import Client
from tokenreward_service.embedded.valkey import find_server
from tokenreward_service.tools import redis_acl as deployment

REASON = hosts.why_not()
pytestmark = pytest.mark.skipif(
    REASON is not None, reason=f"NOT TESTED: several hosts; no network namespaces here ({REASON})"
)
LEASE = {"TOKENREWARD_LEASE_SECONDS": "3", "TOKENREWARD_SHARD_ITEMS": "10"}
SLOW = LEASE | {"TOKENREWARD_SYNTHETIC_RATE": "20", "TOKENREWARD_ENGINE": "synthetic"}


class Cluster:
    """API and Redis on `store`, a worker on each of `gpu1` and `gpu2`, with the users and rights of a deployment."""

    def __init__(self, folder: Path, lan: hosts.Hosts) -> None:
        self.folder = folder
        self.lan = lan
        self.processes: list[Process] = []
        deployment.write(folder / "secrets", "127.0.0.1:6379")
        rules = ["--aclfile", str(folder / "secrets/redis/users.acl"), "--protected-mode", "no", "--bind", "0.0.0.0"]
        kept = ["--appendonly", "yes", "--appendfsync", "always", "--save", "", "--dir", str(folder)]
        self.start("store", "valkey", [str(find_server()), "--maxmemory-policy", "noeviction", *rules, *kept])
        api = self.start("store", "api", [*COMMAND, "serve"], LEASE | self.redis_url("api", "127.0.0.1"))
        wait_for(lambda: "listens on" in api.output(), 30, "the API")
        for name in ("gpu1", "gpu2"):
            url = self.redis_url("worker", lan.store_address(name))
            self.start(name, name, [*COMMAND, "worker"], SLOW | url)
        wait_for(lambda: len(self.workers()) == 2, 30, "both workers")

    def start(self, host: str, name: str, command: list[str], environment: dict[str, str] | None = None) -> Process:
        process = Process([*self.lan.on(host), *command], self.folder / f"{name}.log", environment)
        self.processes.append(process)
        return process

    def redis_url(self, user: str, address: str) -> dict[str, str]:
        url = (self.folder / f"secrets/{user}/tokenreward_redis_url").read_text("utf-8")
        return {"TOKENREWARD_REDIS_URL": url.replace("127.0.0.1", address)}

    def workers(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.lan.call(
            "store", lambda: http.get("http://127.0.0.1:8383/v1/workers").json()["workers"]
        )
        return found

    def stop(self) -> None:
        for process in reversed(self.processes):
            process.stop()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with hosts.Hosts(["gpu1", "gpu2"]) as lan:
        cluster = Cluster(tmp_path_factory.mktemp("cluster"), lan)
        yield cluster
        cluster.stop()


def label(cluster: Cluster, work: list[dict[str, str]], cut: str | None = None) -> list[list[float]]:
    """Rewards of a job, during which the host `cut` is cut off while it holds a shard."""

    def run() -> list[list[float]]:
        with Client("http://127.0.0.1:8383") as client:
            job = client.jobs.create(work)
            if cut is not None:
                wait_for(lambda: all(worker["shards"] for worker in cluster.workers()), 20, "work on both hosts")
                assert not client.jobs.get(job.id).state.terminal
                cluster.lan.cut(cut)
            ended = client.jobs.wait(job.id, 60)
            assert (ended.state, ended.failed_items) == ("succeeded", 0)
            return [result.rewards or [] for result in client.jobs.results(job.id)]

    return cluster.lan.call("store", run)


def work(name: str, count: int) -> list[dict[str, str]]:
    return [{"prompt": f"prompt {name} {n}", "response": f"response {name} {n}"} for n in range(count)]


def test_a_job_is_shared_by_both_hosts(cluster: Cluster) -> None:
    items = work("shared", 80)
    assert label(cluster, items) == rewards(items)
    wait_for(lambda: all(worker["shards_done"] for worker in cluster.workers()), 10, "a shard from each host")


def test_everything_finishes_when_a_host_is_cut_off_in_the_middle_and_it_works_again_when_it_is_back(
    cluster: Cluster,
) -> None:
    items = work("cut", 160)
    assert label(cluster, items, cut="gpu1") == rewards(items)
    wait_for(lambda: len(cluster.workers()) == 1, 30, "the lost host to be missed")
    cluster.lan.mend("gpu1")
    wait_for(lambda: len(cluster.workers()) == 2, 60, "both hosts")
    before = {worker["id"]: worker["shards_done"] for worker in cluster.workers()}
    rounds = itertools.count()

    def both_worked() -> bool:
        # One host may well take a whole small job; only over several jobs does each of them have to take part.
        items = work(f"back {next(rounds)}", 80)
        assert label(cluster, items) == rewards(items)
        return all(worker["shards_done"] > before.get(worker["id"], 0) for worker in cluster.workers())

    wait_for(both_worked, 60, "work on both")
