"""Other ways to read a job: events, Arrow, errors only, sorted, an ETag, and an estimate before there is a job."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx2
import pyarrow as pa
import pytest

from benchmarks.harness.stack import Stack
from benchmarks.harness.waiting import patience, wait_for

ARROW = "application/vnd.apache.arrow.stream"


@pytest.fixture
def http(synthetic: Stack) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=synthetic.url, timeout=patience(30)) as client:
        yield client


@pytest.fixture
def job(http: httpx2.Client) -> dict:
    """Thirty items, every third of them wrong."""
    items = [{"prompt": "p", "response": f"answer {n}" if n % 3 else ""} for n in range(30)]
    made = http.post("/v1/jobs", json={"items": items}).json()
    return wait_for(
        lambda: (seen := http.get(f"/v1/jobs/{made['id']}").json())["state"] == "succeeded" and seen, 30, "the end"
    )


def lines(http: httpx2.Client, job: dict, query: str = "") -> tuple[list[dict], dict]:
    *rows, end = map(json.loads, http.get(f"/v1/jobs/{job['id']}/results{query}").text.splitlines())
    return rows, end


def events(text: str) -> list[tuple[str, dict]]:
    found = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if fields.get("event") == "job":
            found.append((fields["id"], json.loads(fields["data"])))
    return found


def test_events_are_whole_snapshots_with_growing_versions_until_the_job_is_over(
    synthetic: Stack, http: httpx2.Client
) -> None:
    synthetic.workers[0].send(19)
    items = [{"prompt": "p", "response": f"event {n}"} for n in range(50)]
    made = http.post("/v1/jobs", json={"items": items}).json()
    with http.stream("GET", f"/v1/jobs/{made['id']}/events") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        blocks = stream.iter_text()
        first = ""
        while not (first.endswith("\n\n") and events(first)):  # a busy service may send its opening comment alone
            first += next(blocks)
        synthetic.workers[0].send(18)
        seen = events(first + "".join(blocks))
    versions = [int(version) for version, _ in seen]
    assert versions == sorted(set(versions))
    assert seen[0][1]["state"] == "queued"
    assert seen[-1][1] == http.get(f"/v1/jobs/{made['id']}").json()
    assert seen[-1][1]["state"] == "succeeded"


def test_a_reader_that_knows_the_last_version_is_told_not_to_come_back(http: httpx2.Client, job: dict) -> None:
    path = f"/v1/jobs/{job['id']}/events"
    assert http.get(path, headers={"Last-Event-ID": str(job["version"])}).status_code == 204
    assert events(http.get(path, headers={"Last-Event-ID": "1"}).text)[0][1] == job
    assert http.get("/v1/jobs/nobody/events").status_code == 404


def test_arrow_holds_the_same_results_as_ndjson(http: httpx2.Client, job: dict) -> None:
    rows, end = lines(http, job)
    answer = http.get(f"/v1/jobs/{job['id']}/results", headers={"Accept": ARROW})
    assert answer.headers["content-type"] == ARROW
    with pa.ipc.open_stream(answer.content) as reader:
        assert json.loads(reader.schema.metadata[b"provenance"]) == end["provenance"]
        batches = []
        while True:
            try:
                batch, metadata = reader.read_next_batch_with_custom_metadata()
            except StopIteration:
                break
            batches.append(batch)
    assert dict(metadata) == {b"next": b"30", b"complete": b"true"}
    table = pa.Table.from_batches(batches)
    assert table["index"].to_pylist() == list(range(30))
    assert table["token_ids"].to_pylist() == [row.get("token_ids") for row in rows]
    assert table["rewards"].to_pylist() == [row.get("rewards") for row in rows]


def test_errors_only_and_a_limit_that_can_be_continued(http: httpx2.Client, job: dict) -> None:
    rows, end = lines(http, job, "?errors=only")
    assert [row["index"] for row in rows] == list(range(0, 30, 3))
    assert end["complete"]
    rows, end = lines(http, job, "?errors=only&limit=4")
    assert ([row["index"] for row in rows], end["next"], end["complete"]) == ([0, 3, 6, 9], 10, False)
    rows, end = lines(http, job, f"?errors=only&limit=40&from={end['next']}")
    assert ([row["index"] for row in rows], end["complete"]) == (list(range(12, 30, 3)), True)
    rows, end = lines(http, job, "?limit=7&from=5")
    assert ([row["index"] for row in rows], end["next"]) == (list(range(5, 12)), 12)


@pytest.mark.parametrize("sort", ["mean_reward", "-mean_reward"])
def test_sorted_by_mean_reward(http: httpx2.Client, job: dict, sort: str) -> None:
    means = {row["index"]: sum(row["rewards"]) / len(row["rewards"]) for row in lines(http, job)[0] if "rewards" in row}
    rows, _ = lines(http, job, f"?sort={sort}&limit=6")
    assert [row["index"] for row in rows] == sorted(means, key=means.__getitem__, reverse=sort[0] == "-")[:6]
    assert len(lines(http, job, f"?sort={sort}")[0]) == 20
    assert http.get(f"/v1/jobs/{job['id']}/results?errors=only&sort={sort}").status_code == 422


def test_results_of_a_job_that_is_over_have_an_etag(http: httpx2.Client, job: dict) -> None:
    path = f"/v1/jobs/{job['id']}/results"
    etag = http.get(path).headers["etag"]
    same = http.get(path, headers={"If-None-Match": f'"other", W/{etag}'})
    assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", etag)
    assert http.get(path + "?from=1", headers={"If-None-Match": etag}).status_code == 200
    assert http.get(path, headers={"If-None-Match": etag, "Accept": ARROW}).status_code == 200


def test_results_of_a_running_job_have_none(synthetic: Stack, http: httpx2.Client) -> None:
    synthetic.workers[0].send(19)
    try:
        made = http.post("/v1/jobs", json={"items": [{"prompt": "p", "response": "later"}]}).json()
        answer = http.get(f"/v1/jobs/{made['id']}/results", headers={"If-None-Match": "*"})
    finally:
        synthetic.workers[0].send(18)
    assert answer.status_code == 200
    assert "etag" not in answer.headers
    assert json.loads(answer.text)["complete"] is False
    wait_for(lambda: http.get(f"/v1/jobs/{made['id']}").json()["state"] == "succeeded", 60, "the job's end")


@pytest.mark.parametrize("media", ["application/json", "application/x-ndjson"])
def test_a_dry_run_estimates_and_accepts_nothing(synthetic: Stack, http: httpx2.Client, media: str) -> None:
    items = [{"prompt": "p", "response": f"dry {n}"} for n in range(20)] + [{"prompt": "p", "response": ""}]
    text = json.dumps({"items": items}) if media.endswith("/json") else "\n".join(map(json.dumps, items))
    before = http.get("/v1/jobs?limit=1").json()["jobs"]
    stored = synthetic.redis.dbsize()
    answer = http.post("/v1/jobs?dry_run=true", content=text, headers={"content-type": media})
    assert answer.status_code == 200, answer.text
    estimate = answer.json()
    assert (estimate["total_items"], estimate["invalid_items"], estimate["live"]) == (21, 1, True)
    assert estimate["tokens_estimated"] > 20 * 20
    assert http.get("/v1/jobs?limit=1").json()["jobs"] == before
    assert synthetic.redis.dbsize() == stored
    assert http.post("/v1/jobs?dry_run=true&template=nope", content=text, headers={"content-type": media}).is_error
    made = http.post("/v1/jobs", content=text, headers={"content-type": media}).json()
    assert made["tokens_estimated"] == estimate["tokens_estimated"]
