"""Adapters that are replaced, deleted and lost under load: every item is scored by the version of its provenance."""

from __future__ import annotations

import random
from pathlib import Path

from benchmarks._soak_adapters import ADAPTED, AdapterFaults
from benchmarks.harness.stack import Stack
from benchmarks.harness.undisturbed import rewards
from benchmarks.harness.waiting import wait_for
from tests.support.jobs import in_progress, items, job, results, submit


def test_no_item_is_scored_by_another_version_than_its_provenance_says(stack: Stack, tmp_path: Path) -> None:
    cache = {"TOKENREWARD_CACHE": str(tmp_path / "cache")}
    stack.start_worker(**cache)
    stack.wait_ready()
    faults = AdapterFaults(lambda: stack.url, tmp_path / "adapter", random.Random(1))
    faults.replace_adapter()
    jobs = {}
    for n in range(9):
        work = items(12)
        job_id = submit(stack, work, **ADAPTED)
        jobs[job_id] = work
        faults.accepted(job(stack, job_id))
        if n in (2, 5):
            wait_for(lambda ids=list(jobs): any(in_progress(stack, one) for one in ids), 20, "work in progress")
            stack.workers.pop().kill()
            stack.start_worker(**cache)
            wait_for(lambda: stack.redis.zcard("tr:workers") >= 1, 20, "a worker")
        (faults.delete_adapter if n % 4 == 3 else faults.replace_adapter)()
    assert faults.faults >= 10
    assert faults.wrong_versions == 0
    assert len(set(faults.pinned.values())) == len(jobs)
    for job_id, work in jobs.items():
        ended = wait_for(lambda j=job_id: (now := job(stack, j))["state"] == "succeeded" and now, 60, "the end")
        assert (ended["done_items"], ended["failed_items"]) == (len(work), 0)
        rows = results(stack, job_id)
        assert [row["id"] for row in rows] == [item["id"] for item in work]
        expected = rewards(work, "opposite", versions={"better": faults.pinned[job_id]})
        assert [row["rewards"] for row in rows] == expected
