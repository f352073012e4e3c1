"""The drill of docs/operations.md: a store is copied while it works, lost with its disk, and started from the copy."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from benchmarks.harness.stack import Stack
from benchmarks.harness.undisturbed import rewards
from benchmarks.harness.waiting import patience, wait_for
from tests.support.jobs import items, job, submit
from tokenreward import Client
from tokenreward_service.tools.backup import main

SETTINGS = {
    "TOKENREWARD_SYNTHETIC_RATE": "40",
    "TOKENREWARD_SHARD_ITEMS": "10",
    "TOKENREWARD_LEASE_SECONDS": "3",
    "TOKENREWARD_CACHE_TTL_SECONDS": "0",
}


def test_jobs_in_a_copy_that_was_taken_while_they_ran_are_finished_by_whoever_starts_from_it(tmp_path: Path) -> None:
    lost, found = tmp_path / "lost", tmp_path / "found"
    lost.mkdir()
    work, finished = items(200), items(20)
    with Stack(lost, SETTINGS) as stack:
        stack.start_api()
        stack.start_worker()
        stack.wait_ready()
        done, running = submit(stack, finished), submit(stack, work)
        wait_for(lambda: job(stack, running)["done_items"] > 20, 30, "some rewards")
        assert main([str(lost), str(found), "--redis-url", stack.redis_url]) == 0
        assert stack.redis.config_get("auto-aof-rewrite-percentage") == {"auto-aof-rewrite-percentage": "100"}
        at_copy = job(stack, running)["done_items"]
    shutil.rmtree(lost)
    with Stack(found, SETTINGS) as stack:
        stack.start_api()
        assert 0 < job(stack, running)["done_items"] <= at_copy
        stack.start_worker()
        with Client(stack.url) as client:
            client.jobs.wait(running, timeout=patience(60))
            assert [list(result.rewards or []) for result in client.jobs.results(running)] == rewards(work)
            assert [list(result.rewards or []) for result in client.jobs.results(done)] == rewards(finished)


def test_what_cannot_be_copied_is_said_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "there").mkdir()
    with Stack(tmp_path / "data") as stack:
        assert main([str(tmp_path), str(tmp_path / "new"), "--redis-url", stack.redis_url]) == 1
        assert "name the server's own `dir`" in capsys.readouterr().err
        assert main([str(tmp_path / "data"), str(tmp_path / "there"), "--redis-url", stack.redis_url]) == 1
        assert "is there already" in capsys.readouterr().err
        stack.redis.config_set("appendonly", "no")
        assert main([str(tmp_path / "data"), str(tmp_path / "new"), "--redis-url", stack.redis_url]) == 1
        assert "no append-only files" in capsys.readouterr().err
        watched = "redis+sentinel://127.0.0.1:1/rewards"
        assert main([str(tmp_path / "data"), str(tmp_path / "new"), "--redis-url", watched]) == 1
        assert "name the server itself" in capsys.readouterr().err
        assert not (tmp_path / "new").exists()
