"""What a job was sent can be read; and a job that is over may lose its items and results, and keep its record."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from benchmarks.harness.stack import Stack
from benchmarks.harness.waiting import patience, wait_for
from tokenreward import label_dataset

ITEMS = [{"prompt": "p", "response": f"answer {n}", "id": f"row-{n}"} for n in range(30)]


@pytest.fixture
def http(synthetic: Stack) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=synthetic.url, timeout=patience(30)) as client:
        yield client


def made(http: httpx2.Client, items: list[dict], **options: object) -> str:
    """A job that is over."""
    job: str = http.post("/v1/jobs", json={"items": items, **options}).json()["id"]
    wait_for(lambda: http.get(f"/v1/jobs/{job}").json()["finished_at"], 30, "the end")
    return job


def test_the_items_of_a_job_are_read_as_they_were_sent(http: httpx2.Client) -> None:
    job = made(http, [*ITEMS, {"prompt": "p", "response": "", "id": "wrong"}])
    first = http.get(f"/v1/jobs/{job}/items").json()
    assert [row["index"] for row in first["items"]] == [*range(10)]
    assert first["items"][3] == {
        "index": 3,
        "id": "row-3",
        "item": {"prompt": "p", "response": "answer 3", "id": "row-3", "finished": True, "score": "last"},
    }
    last = http.get(f"/v1/jobs/{job}/items", params={"from": 28, "limit": 50}).json()
    assert [row["id"] for row in last["items"]] == ["row-28", "row-29", "wrong"]
    assert "the response is empty" in last["items"][2]["error"]["message"]
    assert "next" not in last
    assert http.get(f"/v1/jobs/{job}/items", params={"from": first["next"]}).json()["items"][0]["index"] == 10


def test_an_emptied_job_keeps_its_record_and_nothing_else(http: httpx2.Client) -> None:
    origin = {"name": "pairs.jsonl", "sides": ["chosen", "rejected"]}
    job = made(http, ITEMS, origin=origin)
    before = http.get(f"/v1/jobs/{job}").json()
    assert before["origin"]["name"] == "pairs.jsonl"
    assert http.delete(f"/v1/jobs/{job}/items").status_code == 204
    after = http.get(f"/v1/jobs/{job}").json()
    assert after["emptied"] is True
    assert {name for name in after if after[name] != before[name]} == {"emptied", "version"}
    assert job in [one["id"] for one in http.get("/v1/jobs").json()["jobs"]]
    for method, path in (("GET", "/results"), ("GET", "/items"), ("POST", "/retry")):
        answer = http.request(method, f"/v1/jobs/{job}{path}")
        assert (answer.status_code, answer.json()["title"]) == (404, "Results removed")
    assert http.delete(f"/v1/jobs/{job}/items").status_code == 204, "a repetition changes nothing"


def test_a_job_that_is_not_over_is_not_emptied(http: httpx2.Client, synthetic: Stack) -> None:
    synthetic.workers[0].send(19)
    try:
        job = http.post("/v1/jobs", json={"items": ITEMS}).json()["id"]
        assert http.delete(f"/v1/jobs/{job}/items").json()["title"] == "Job is not over"
        http.post(f"/v1/jobs/{job}/cancel")
        assert http.delete(f"/v1/jobs/{job}/items").status_code == 204
    finally:
        synthetic.workers[0].send(18)


def test_a_request_with_the_key_of_an_emptied_job_makes_a_new_one(http: httpx2.Client) -> None:
    body = {"json": {"items": ITEMS[:2]}, "headers": {"Idempotency-Key": "once"}}
    first = http.post("/v1/jobs", **body).json()["id"]
    wait_for(lambda: http.get(f"/v1/jobs/{first}").json()["finished_at"], 30, "the end")
    http.delete(f"/v1/jobs/{first}/items")
    assert http.post("/v1/jobs", **body).json()["id"] != first


def test_the_emptied_jobs_of_a_run_leave_one_record_with_all_counts(http: httpx2.Client) -> None:
    origin = {"name": "many.jsonl", "run": "run-1"}
    jobs = [made(http, [*ITEMS[n : n + 10], {"prompt": ""}], origin=origin) for n in (0, 10, 20)]
    for job in jobs:
        assert http.delete(f"/v1/jobs/{job}/items").status_code == 204
    (left,) = [job for job in http.get("/v1/jobs").json()["jobs"] if job["origin"] and job["origin"]["run"] == "run-1"]
    assert left["id"] == jobs[0]
    assert (left["total_items"], left["done_items"], left["failed_items"]) == (33, 33, 3)
    assert http.get(f"/v1/jobs/{jobs[1]}").status_code == 404


def test_a_labeled_file_leaves_one_record_with_its_name(http: httpx2.Client, synthetic: Stack, tmp_path: Path) -> None:
    source = tmp_path / "my pairs.jsonl"
    rows = [{"prompt": "p", "chosen": f"good {n}", "rejected": f"bad {n}"} for n in range(7)]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    label_dataset(source, tmp_path / "out.jsonl", url=synthetic.url, rows_per_job=2)
    left = [job for job in http.get("/v1/jobs").json()["jobs"] if (job["origin"] or {}).get("name") == source.name]
    assert [(job["total_items"], job["emptied"], job["template"]) for job in left] == [(14, True, "revision")]
    assert left[0]["origin"]["sides"] == ["chosen", "rejected"]


def test_an_origin_that_is_not_json_is_pointed_at(http: httpx2.Client) -> None:
    answer = http.post("/v1/jobs", params={"origin": "pairs"}, content=b"{}")
    assert answer.status_code == 422
    lines = {"content": json.dumps(ITEMS[0]), "headers": {"content-type": "application/x-ndjson"}}
    answer = http.post("/v1/jobs", params={"origin": "pairs"}, **lines)
    assert answer.json()["errors"][0]["pointer"] == "/origin"
    assert http.post("/v1/jobs", params={"origin": '{"name": "n"}'}, **lines).json()["origin"]["name"] == "n"
