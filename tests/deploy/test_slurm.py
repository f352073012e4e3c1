"""The Slurm scripts and the SkyPilot task, with a stand-in for `srun` that starts local processes."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks.harness.processes import Process, free_port
from benchmarks.harness.waiting import wait_for
from tests.deploy.chart import ROOT
from tokenreward import Client

SLURM = ROOT / "deploy" / "slurm"


class Cluster:
    """A shared folder, a node name, and `sbatch` that runs a script's body here."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.shared = folder / "shared"
        self.shared.mkdir()
        commands = folder / "bin"
        commands.mkdir()
        for name, body in {"srun": 'exec "$@"', "hostname": "echo 127.0.0.1"}.items():
            (commands / name).write_text(f"#!/bin/sh\n{body}\n", "utf-8")
            (commands / name).chmod(0o755)
        self.environment = {
            "PATH": f"{commands}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "SHARED_FOLDER": str(self.shared),
            "STORE_MEMORY": "200mb",
            "TOKENREWARD_LEASE_SECONDS": "3",
            "TOKENREWARD_PARENT_PID": "0",  # the script is the parent, not this test
        }
        self.jobs: list[Process] = []

    def sbatch(self, script: str, **environment: str) -> Process:
        log = self.folder / f"{script}.{len(self.jobs)}.log"
        job = Process(["bash", str(SLURM / f"{script}.sbatch")], log, self.environment | environment)
        self.jobs.append(job)
        return job

    def service(self) -> Process:
        """A service on two free ports, ready for clients."""
        (self.shared / "client.env").unlink(missing_ok=True)
        ports = {name: str(free_port()) for name in ("API_PORT", "STORE_PORT")}
        job = self.sbatch("service", **ports)
        wait_for(lambda: "listens on" in job.output(), 30, "the API")
        return job

    def worker(self) -> Process:
        return self.sbatch(
            "workers",
            TOKENREWARD_ENGINE="synthetic",
            TOKENREWARD_MODEL="demo",
            TOKENREWARD_SYNTHETIC_RATE="100",
            TOKENREWARD_STOP_SECONDS="5",
        )

    def client(self) -> Client:
        lines = (self.shared / "client.env").read_text("utf-8").splitlines()
        found = dict(line.removeprefix("export ").split("=", 1) for line in lines)
        return Client(found["TOKENREWARD_URL"], api_key=found["TOKENREWARD_API_KEY"])


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    found = Cluster(tmp_path)
    yield found
    for job in reversed(found.jobs):
        job.stop()


def work(count: int) -> list[dict[str, Any]]:
    return [{"prompt": "p", "response": f"an answer of some length, number {n}"} for n in range(count)]


def test_a_worker_that_slurm_takes_away_loses_nothing_and_a_service_elsewhere_goes_on(cluster: Cluster) -> None:
    service = cluster.service()
    first = cluster.worker()
    with cluster.client() as client:
        wait_for(lambda: any(model.workers for model in client.models()), 30, "the worker")
        job = client.jobs.create(work(400))
        wait_for(lambda: client.jobs.get(job.id).done_items > 0, 30, "the first rewards")
        first.send(signal.SIGTERM)
        assert first.wait(30) == 0
        done = client.jobs.get(job.id).done_items
        assert 0 < done < 400
        cluster.worker()
        assert sum(1 for result in client.jobs.results(job.id) if result.rewards is not None) == 400
    service.send(signal.SIGTERM)
    assert service.wait(30) == 0
    cluster.service()
    with cluster.client() as client:
        assert client.jobs.get(job.id).done_items == 400
        after = client.jobs.create(work(2))  # the worker follows the service to its new address
        wait_for(lambda: client.jobs.get(after.id).done_items == 2, 60, "the rewards of the worker that followed")


def test_the_scripts_are_requeued_and_get_their_signal_before_the_end() -> None:
    for script in SLURM.glob("*.sbatch"):
        options = [line for line in script.read_text("utf-8").splitlines() if line.startswith("#SBATCH")]
        assert "#SBATCH --requeue" in options, script.name
        assert any(option.startswith("#SBATCH --signal=B:TERM@") for option in options), script.name


def test_the_skypilot_task_asks_for_spot_machines_and_reads_the_store_from_a_secret() -> None:
    task = yaml.safe_load((ROOT / "deploy/skypilot/workers.yaml").read_text("utf-8"))
    assert set(task) == {"name", "resources", "envs", "secrets", "setup", "run"}
    assert task["resources"]["use_spot"] is True
    assert task["secrets"] == {"TOKENREWARD_REDIS_URL": None}
    assert "tokenreward worker" in task["run"]
