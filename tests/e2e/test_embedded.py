"""`tokenreward serve` with everything embedded: what it starts, it ends, however it ends itself."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import httpx2
import psutil
import pytest
from stack import COMMAND, Process, wait_for


class Served:
    """`tokenreward serve`; whatever a test leaves running is ended by the `folder` fixture."""

    started: ClassVar[list[Served]] = []

    def __init__(self, folder: Path, *arguments: str, port: int = 0) -> None:
        command = [*COMMAND, "serve", "--port", str(port), *arguments]
        self.process = Process(command, folder / "serve.log", {"PYTHONUNBUFFERED": "1"})
        self.started.append(self)

    def ready(self, seconds: float = 240) -> str:
        def look() -> re.Match[str] | None:
            assert self.process.popen.poll() is None, self.process.output()
            return re.search(r"^ready: .*, (http://\S+)$", self.process.output(), re.MULTILINE)

        return str(wait_for(look, seconds, "the embedded worker")[1])

    def family(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    while Served.started:
        Served.started.pop().process.stop()
    for log in tmp_path.glob("*.log"):
        print(log.read_text("utf-8", "replace")[-3000:])


def names(family: list[psutil.Process]) -> str:
    return "\n".join(" ".join(process.cmdline()) for process in family)


@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_outlives_the_embedded_service(folder: Path, sig: signal.Signals) -> None:
    served = Served(folder, "--engine", "synthetic")
    served.ready()
    family = served.family()
    assert "valkey-server" in names(family)
    assert "tokenreward_workers.main" in names(family)
    served.process.send(sig)
    assert wait_for(lambda: served.process.popen.poll() is not None, 30, "the end")
    wait_for(lambda: not any(process.is_running() for process in family), 10, "the end of its children")
    if sig != signal.SIGKILL:
        assert served.process.popen.returncode == 0


@pytest.mark.vllm
@pytest.mark.timeout(600)
def test_sigkill_takes_the_vllm_engine_core_along(folder: Path) -> None:
    served = Served(folder, "--engine", "vllm")
    served.ready(400)
    family = served.family()
    assert "EngineCore" in names(family), names(family)
    served.process.send(signal.SIGKILL)
    wait_for(lambda: not any(process.is_running() for process in family), 20, "the end of its children")


def test_a_wrong_model_path_is_said_before_any_port_is_opened(folder: Path) -> None:
    served = Served(folder, "--model", "/no/such/model")
    assert served.process.popen.wait(30) != 0
    assert "/no/such/model" in served.process.output()
    assert "listens on" not in served.process.output()


def test_a_bind_beyond_loopback_is_refused_without_being_told(folder: Path) -> None:
    served = Served(folder, "--host", "0.0.0.0")
    assert served.process.popen.wait(30) == 1
    assert "--insecure" in served.process.output()


def test_a_port_in_use_is_a_clear_message(folder: Path) -> None:
    first = Served(folder, "--engine", "synthetic")
    port = int(first.ready().rsplit(":", 1)[1])
    try:
        (folder / "second").mkdir()
        second = Served(folder / "second", "--engine", "synthetic", port=port)
        assert second.process.popen.wait(30) == 1
        assert f"port {port}" in second.process.output()
    finally:
        first.process.stop()


def test_jobs_survive_a_restart_when_a_data_directory_is_given(folder: Path) -> None:
    jobs = []
    for _ in range(2):
        served = Served(folder, "--engine", "synthetic", "--data-dir", str(folder / "data"))
        url = served.ready()
        jobs.append([job["id"] for job in httpx2.get(url + "/v1/jobs").json()["jobs"]])
        httpx2.post(url + "/v1/jobs", json={"items": [{"prompt": "p", "response": "r"}]}).raise_for_status()
        (folder / "serve.log").unlink()
        served.process.stop()
    assert len(jobs[0]) == 0
    assert len(jobs[1]) == 1


def test_an_evicting_redis_is_refused(folder: Path) -> None:
    from stack import Stack

    with Stack(folder) as stack:
        stack.redis.config_set("maxmemory-policy", "allkeys-lru")
        served = Served(folder, "--redis-url", stack.redis_url)
        assert served.process.popen.wait(30) == 1
        assert "noeviction" in served.process.output()
