"""`tokenreward worker --data-parallel` and `--tensor-parallel`: one command for a host with several GPUs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from benchmarks.harness.processes import COMMAND, Process
from benchmarks.harness.stack import Stack, http
from benchmarks.harness.waiting import patience, wait_for
from tokenreward.errors import BadInput
from tokenreward_workers.engines import EngineSettings, load_engine
from tokenreward_workers.process.supervisor import gpus


def records(stack: Stack) -> list[dict[str, Any]]:
    return list(http.get(stack.url + "/v1/workers").json()["workers"])


def environment(pid: int) -> dict[str, str]:
    return psutil.Process(pid).environ()


def test_each_of_several_workers_has_gpus_of_its_own_and_a_dead_one_comes_back_alone(tmp_path: Path) -> None:
    with Stack(tmp_path) as stack:
        stack.start_api()
        options = ("--data-parallel", "2", "--engine", "synthetic")
        supervisor = stack.start_worker(*options, supervised=True, CUDA_VISIBLE_DEVICES="4,6")
        stack.wait_ready(2)
        first, second = (record["pid"] for record in records(stack))
        assert {environment(pid)["CUDA_VISIBLE_DEVICES"] for pid in (first, second)} == {"4", "6"}
        psutil.Process(first).kill()
        wait_for(lambda: {second} < {r["pid"] for r in records(stack)} - {first}, 30, "a new process for the dead one")
        pids = {child.pid for child in psutil.Process(supervisor.pid).children()}
        assert second in pids
        assert first not in pids
        assert supervisor.stop() == 0, supervisor.output()
        assert not any(psutil.pid_exists(pid) for pid in pids)


def test_a_worker_that_once_ran_is_started_again_although_a_restart_fails(tmp_path: Path) -> None:
    blobs = tmp_path / "blobs"
    code = (
        "import sys\n"
        "from tokenreward_workers import cli\n"
        "from tokenreward_workers.process import supervisor\n"
        "supervisor._HEALTHY_AFTER = 0.5\n"
        "sys.exit(cli.worker(['--engine', 'synthetic']))\n"
    )
    with Stack(tmp_path) as stack:
        stack.start_api()
        environment = {"TOKENREWARD_REDIS_URL": stack.redis_url, "TOKENREWARD_BLOB_URL": str(blobs)}
        supervisor = Process([sys.executable, "-c", code], tmp_path / "supervisor.log", environment)
        stack.workers.append(supervisor)
        stack.wait_ready()
        (first,) = records(stack)
        blobs.rmdir()
        blobs.write_text("in the way")
        psutil.Process(first["pid"]).kill()
        wait_for(lambda: "ended with status 78; starting it again" in supervisor.output(), 30, "a start in vain")
        blobs.unlink()
        wait_for(lambda: {record["pid"] for record in records(stack)} - {first["pid"]}, 30, "a new process")


def test_gpus_are_dealt_out_in_groups() -> None:
    assert gpus(1, 4, "0,1,2,3") == [None], "one worker takes what it is given"
    assert gpus(2, 2, None) == ["0,1", "2,3"]
    assert gpus(2, 1, "GPU-a,GPU-b,GPU-c") == ["GPU-a", "GPU-b"]
    with pytest.raises(BadInput, match="need 8"):
        gpus(4, 2, "0,1,2,3")


def test_too_few_gpus_are_said_before_anything_starts(tmp_path: Path) -> None:
    pairs = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "CUDA_VISIBLE_DEVICES": "0"}
    arguments = ["worker", "--redis-url", "redis://x", "--engine", "synthetic", "--data-parallel", "2"]
    command = ["env", "-i", *(f"{name}={value}" for name, value in pairs.items()), *COMMAND, *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=patience(60))
    assert ended.returncode == 1
    assert "2 workers with 1 GPU(s) each need 2; visible are 0" in ended.stderr


def test_only_vllm_spreads_one_model_over_gpus() -> None:
    with pytest.raises(BadInput, match="tensor parallelism"):
        load_engine("synthetic", None, EngineSettings(tensor_parallel=2))
