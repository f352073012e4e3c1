"""Submits the jobs of tests that stage faults, looks at them, and compares their ends with an undisturbed run's."""

from __future__ import annotations

import json

from benchmarks.harness.stack import Served, Stack, http
from benchmarks.harness.undisturbed import rewards
from benchmarks.harness.waiting import patience, wait_for

#: Slow enough that a fault hits work in progress, small enough that a test stays short.
SLOW = {
    "TOKENREWARD_SYNTHETIC_RATE": "20",
    "TOKENREWARD_SHARD_ITEMS": "10",
    "TOKENREWARD_LEASE_SECONDS": "3",
    "TOKENREWARD_CACHE_TTL_SECONDS": "0",
}


def items(count: int) -> list[dict]:
    return [{"prompt": f"prompt {n}", "response": f"response {n}", "id": str(n)} for n in range(count)]


def submit(stack: Stack | Served, work: list[dict], **options: object) -> str:
    accepted = http.post(stack.url + "/v1/jobs", json={"items": work, **options}, timeout=patience(30))
    assert accepted.status_code == 202, accepted.text
    return str(accepted.json()["id"])


def job(stack: Stack | Served, job_id: str) -> dict:
    return dict(http.get(f"{stack.url}/v1/jobs/{job_id}", timeout=patience(10)).json())


def results(stack: Stack | Served, job_id: str) -> list[dict]:
    text = http.get(f"{stack.url}/v1/jobs/{job_id}/results", timeout=patience(30)).text
    return [json.loads(line) for line in text.splitlines()][:-1]


def check_undisturbed(stack: Stack, job_id: str, work: list[dict], seconds: float = 60) -> None:
    """Every item exactly once, in order, with the rewards an undisturbed run gives."""
    ended = wait_for(
        lambda: (now := job(stack, job_id))["state"] not in {"queued", "running"} and now, seconds, "the end"
    )
    assert ended["state"] == "succeeded"
    assert (ended["done_items"], ended["failed_items"]) == (len(work), 0)
    rows = results(stack, job_id)
    assert [row["id"] for row in rows] == [item["id"] for item in work]
    assert [row["rewards"] for row in rows] == rewards(work)


def in_progress(stack: Stack, job_id: str) -> bool:
    now = job(stack, job_id)
    return now["state"] == "running" and now["done_items"] < now["total_items"]
