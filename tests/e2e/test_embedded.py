"""`tokenreward serve` with everything embedded: what it starts, it ends, however it ends itself."""

from __future__ import annotations

import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from redis import Redis

from benchmarks.harness.processes import COMMAND, wait_gone
from benchmarks.harness.stack import Served, Stack
from benchmarks.harness.waiting import patience, wait_for
from tokenreward_service.embedded import valkey as embedded


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """For logs; a failing test shows their ends."""
    yield tmp_path
    for log in tmp_path.rglob("serve.log"):
        print(log.read_text("utf-8", "replace")[-3000:])


@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_outlives_the_embedded_service(folder: Path, sig: signal.Signals) -> None:
    with Served(folder, "--engine", "synthetic") as served:
        served.ready()
        family = served.family()
        names = "\n".join(" ".join(process.cmdline()) for process in family)
        assert "valkey-server" in names
        assert "tokenreward_workers.main" in names
        served.process.send(sig)
        assert wait_for(lambda: served.process.popen.poll() is not None, 30, "the end")
        wait_gone(family, 10)
        if sig != signal.SIGKILL:
            assert served.process.popen.returncode == 0


def test_a_wrong_model_path_is_said_before_any_port_is_opened(folder: Path) -> None:
    with Served(folder, "--model", "/no/such/model") as served:
        assert served.process.wait(30) != 0
        assert "/no/such/model" in served.process.output()
        assert "listens on" not in served.process.output()


def test_a_bind_beyond_loopback_is_refused_without_being_told(folder: Path) -> None:
    with Served(folder, "--host", "0.0.0.0") as served:
        assert served.process.wait(30) == 1
        assert "--insecure" in served.process.output()


def test_a_port_in_use_is_a_clear_message(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = int(taken.getsockname()[1])
        with Served(folder, "--engine", "synthetic", port=port) as served:
            assert served.process.wait(30) == 1
            assert f"port {port}" in served.process.output()


def test_jobs_survive_a_restart_when_a_data_directory_is_given(folder: Path) -> None:
    jobs = []
    for run in ("first", "second"):
        (folder / run).mkdir()
        with Served(folder / run, "--engine", "synthetic", "--data-dir", str(folder / "data")) as served:
            url = served.ready()
            jobs.append([job["id"] for job in httpx2.get(url + "/v1/jobs").json()["jobs"]])
            httpx2.post(url + "/v1/jobs", json={"items": [{"prompt": "p", "response": "r"}]}).raise_for_status()
    assert len(jobs[0]) == 0
    assert len(jobs[1]) == 1


def test_keys_are_made_after_the_service_was_killed(folder: Path) -> None:
    with Served(folder, "--engine", "synthetic", "--data-dir", str(folder / "data")) as served:
        served.ready()
        family = served.family()
        served.process.send(signal.SIGKILL)
        wait_gone(family, 10)
    assert (folder / "data" / "valkey.url").exists(), "it could not clear this away"
    command = [*COMMAND, "keys", "create", "me", "--data-dir", str(folder / "data")]
    made = subprocess.run(command, capture_output=True, check=False, timeout=patience(60))
    assert made.stdout.startswith(b"trk_"), made.stderr


def test_a_data_folder_may_take_long_to_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "_START_SECONDS", 1.0)
    files = tmp_path / "appendonlydir"
    files.mkdir()
    (files / "appendonly.aof.manifest").write_text("file appendonly.aof.1.incr.aof seq 1 type i\n")
    slow, quick = ("EVAL", "for i = 1, 20000 do end", "0"), ("SET", "loaded", "yes")  # 32,768 of it: seconds
    commands = b"".join(_resp(*command) for command in [*[slow] * 32_768, quick])
    (files / "appendonly.aof.1.incr.aof").write_bytes(commands)
    with embedded.valkey(tmp_path) as url, Redis.from_url(url) as client:
        assert client.get("loaded") == b"yes"


def _resp(*parts: str) -> bytes:
    """A command as an append-only file holds it."""
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part.encode()) for part in parts)


def test_an_evicting_redis_is_refused(folder: Path) -> None:
    with Stack(folder) as stack:
        stack.redis.config_set("maxmemory-policy", "allkeys-lru")
        with Served(folder, "--redis-url", stack.redis_url) as served:
            assert served.process.wait(30) == 1
            assert "noeviction" in served.process.output()
