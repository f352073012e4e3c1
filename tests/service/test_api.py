"""The wire contract over real HTTP, against a real stack with the synthetic engine."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest

from benchmarks.harness.stack import Stack
from benchmarks.harness.waiting import patience, wait_for

NDJSON = {"content-type": "application/x-ndjson"}


@pytest.fixture
def http(synthetic: Stack) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=synthetic.url, timeout=patience(30)) as client:
        yield client


def finished(http: httpx2.Client, job_id: str) -> dict:
    terminal = {"succeeded", "cancelled"}
    return wait_for(lambda: (job := http.get(f"/v1/jobs/{job_id}").json())["state"] in terminal and job, 30, "the end")


def records(http: httpx2.Client, job_id: str, start: int = 0) -> tuple[list[dict], dict]:
    lines = [json.loads(line) for line in http.get(f"/v1/jobs/{job_id}/results?from={start}").text.splitlines()]
    return lines[:-1], lines[-1]


def test_a_json_job_gives_one_reward_per_token_in_input_order_with_provenance(http: httpx2.Client) -> None:
    items = [{"prompt": f"Say {n}", "response": f"number {n}", "id": f"row-{n}"} for n in range(40)]
    accepted = http.post("/v1/jobs", json={"items": items})
    assert accepted.status_code == 202
    job = finished(http, accepted.json()["id"])
    assert accepted.headers["location"] == f"/v1/jobs/{job['id']}"
    assert (job["state"], job["done_items"], job["failed_items"]) == ("succeeded", 40, 0)
    rows, end = records(http, job["id"])
    assert [row["index"] for row in rows] == list(range(40))
    assert [row["id"] for row in rows] == [f"row-{n}" for n in range(40)]
    assert all(len(row["rewards"]) == len(row["token_ids"]) > 0 for row in rows)
    assert all(-0.5 <= reward <= 0.5 for row in rows for reward in row["rewards"])
    assert end["next"] == 40
    assert end["complete"] is True
    assert end["provenance"] == job["provenance"]
    assert job["provenance"]["fingerprint"]["engine"] == "synthetic"


def test_an_ndjson_job_takes_its_options_from_the_query(http: httpx2.Client) -> None:
    body = "\n".join(json.dumps({"prompt": "p", "response": f"r{n}"}) for n in range(5)) + "\n\n"
    accepted = http.post("/v1/jobs?template=opposite&include=logprobs&include=tokens", content=body, headers=NDJSON)
    job = finished(http, accepted.json()["id"])
    rows, _ = records(http, job["id"])
    assert job["template"] == "opposite"
    assert len(rows) == 5
    assert rows[0].keys() == {"index", "token_ids", "rewards", "logprobs", "tokens", "offsets"}
    assert "".join(rows[3]["tokens"]).startswith("r3")


def test_results_resume_where_they_are_asked_to(http: httpx2.Client) -> None:
    items = [{"prompt": "p", "response": f"r{n}"} for n in range(30)]
    job = finished(http, http.post("/v1/jobs", json={"items": items}).json()["id"])
    rows, end = records(http, job["id"], start=17)
    assert [row["index"] for row in rows] == list(range(17, 30))
    assert end["complete"]
    assert records(http, job["id"], start=30) == ([], end)


@pytest.mark.parametrize(
    ("item", "code", "says"),
    [
        ({"prompt": "p", "response": ""}, "invalid_item", "empty"),
        ({"prompt": "p", "response": "r", "token_ids": [1]}, "invalid_item", "not both"),
        ({"prompt": "p"}, "invalid_item", "either"),
        ({"prompt": "p", "token_ids": []}, "invalid_item", "empty"),
        ({"prompt": "p", "token_ids": [-1]}, "invalid_item", "token_ids/0"),
        ({"prompt": "p", "token_ids": [100_000]}, "token_out_of_vocabulary", "100000"),
        ({"prompt": "p", "response": "x" * 40_000}, "too_long", "tokens"),
        ({"prompt": "p", "response": "x" * 400_001}, "too_long", "characters"),
        ({"prompt": "", "response": "r"}, "invalid_item", "prompt is empty"),
        ({"prompt": [], "response": "r"}, "invalid_item", "prompt"),
        ({"prompt": "p", "response": "r", "extra": 1}, "invalid_item", "extra"),
        ("no object", "invalid_item", ""),
        (None, "invalid_item", ""),
    ],
)
def test_a_wrong_item_gets_its_own_error_while_its_neighbours_get_rewards(
    http: httpx2.Client, item: object, code: str, says: str
) -> None:
    good = {"prompt": "p", "response": "fine"}
    accepted = http.post("/v1/jobs", json={"items": [good, item, good]}).json()
    job = finished(http, accepted["id"])
    rows, _ = records(http, job["id"])
    assert job["state"] == "succeeded"
    assert job["failed_items"] == 1
    assert rows[1]["error"]["code"] == code
    assert says in rows[1]["error"]["message"]
    assert rows[0]["rewards"]
    assert rows[2]["rewards"]


@pytest.mark.parametrize(
    ("item", "pointer"),
    [
        ({"prompt": [{"role": "user", "content": "a", "images": ["x"]}]}, "/prompt/0/images"),
        ({"prompt": [{"role": "user", "content": [{"type": "image", "url": "x"}]}]}, "/prompt/0/content/0"),
        ({"prompt": [{"role": "user", "content": [{"type": "text", "text": 1}]}]}, "/prompt/0/content/0/text"),
        ({"prompt": [{"role": "user"}]}, "/prompt/0"),
        ({"prompt": "a", "response": {"role": "assistant", "content": "b", "audio": "x"}}, "/response/audio"),
        ({"prompt": "a", "chat_template_kwargs": {"add_generation_prompt": False}}, "/chat_template_kwargs"),
        ({"prompt": "a", "tools": ["weather"]}, "/tools/0"),
    ],
)
def test_what_of_a_conversation_cannot_be_carried_is_pointed_at(http: httpx2.Client, item: dict, pointer: str) -> None:
    refused = http.post("/v1/jobs", json={"items": [{"response": "r", **item}], "strict": True})
    assert refused.status_code == 422, refused.text
    assert refused.json()["errors"][0]["pointer"] == "/items/0" + pointer


def test_a_conversation_with_tools_and_calls_is_labeled(http: httpx2.Client) -> None:
    call = {"type": "function", "function": {"name": "weather", "arguments": {"city": "Oslo"}}}
    prompt = [
        {"role": "user", "content": [{"type": "text", "text": "Weather?"}]},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "name": "weather", "content": "rain"},
    ]
    more = {
        "tools": [{"type": "function", "function": {"name": "weather"}}],
        "chat_template_kwargs": {"today": "2025-01-31"},
    }
    item = {"prompt": prompt, "response": {"role": "assistant", "content": "Rain."}, **more}
    shown = http.post("/v1/render", json={"item": item}).json()["branches"]
    assert shown["plain"]["messages"] == prompt
    assert "(calls weather)" in shown["better"]["messages"][0]["content"]
    rows, _ = records(http, finished(http, http.post("/v1/jobs", json={"items": [item]}).json()["id"])["id"])
    assert rows[0]["rewards"], rows


@pytest.mark.parametrize(("name", "value"), [("model", ""), ("model", "m" * 513), ("estimator", "e" * 65)])
def test_an_option_in_the_query_that_cannot_be_is_pointed_at(http: httpx2.Client, name: str, value: str) -> None:
    line = b'{"prompt":"p","response":"r"}'
    refused = http.post("/v1/jobs", params={name: value}, content=line, headers=NDJSON)
    assert refused.status_code == 422, refused.text
    assert refused.json()["errors"][0]["pointer"] == f"/{name}"


def test_a_job_of_nothing_but_wrong_items_ends_without_a_worker(http: httpx2.Client) -> None:
    job = http.post("/v1/jobs", json={"items": [{"prompt": "p", "response": "", "id": "a"}, 7]}).json()
    assert (job["state"], job["invalid_items"], job["failed_items"]) == ("succeeded", 2, 2)
    rows, end = records(http, job["id"])
    assert [row["error"]["code"] for row in rows] == ["invalid_item"] * 2
    assert rows[0]["id"] == "a"
    assert end["complete"]


def test_strict_turns_a_wrong_item_into_422_and_accepts_nothing(http: httpx2.Client) -> None:
    before = http.get("/v1/jobs?limit=1").json()["jobs"]
    items = [{"prompt": "p", "response": "r"}, {"prompt": "p", "response": ""}]
    refused = http.post("/v1/jobs", json={"items": items, "strict": True})
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["pointer"] == "/items/1"
    assert http.get("/v1/jobs?limit=1").json()["jobs"] == before


@pytest.mark.parametrize(
    ("options", "pointer"),
    [
        ({"model": "nobody/knows"}, "/model"),
        ({"template": "nope"}, "/template"),
        ({"estimator": "nope"}, "/estimator"),
        ({"template": {"name": "own", "branches": {"only": {"directive": "x"}}}}, "/template"),
        ({"template": {"name": "own", "branches": {"a": {"system": "x"}}}}, "/template/branches/a/system"),
    ],
)
def test_an_unknown_option_is_422_and_nothing_is_accepted(http: httpx2.Client, options: dict, pointer: str) -> None:
    refused = http.post("/v1/jobs", json={"items": [{"prompt": "p", "response": "r"}], **options})
    assert refused.status_code == 422
    assert refused.headers["content-type"] == "application/problem+json"
    assert pointer in [error["pointer"] for error in refused.json()["errors"]]


@pytest.mark.parametrize(
    ("body", "headers", "status", "says"),
    [
        (b'{"items": [', {}, 400, "EOF"),
        (b"\xff\xfe", {}, 400, ""),
        (b'{"items": []}', {}, 422, "items"),
        (b'{"items": [1], "nope": 1}', {}, 422, "nope"),
        (b'{"prompt":"p","response":"r"}\n{"prompt":"p","resp', NDJSON, 400, "ine 2"),
        (b'{"prompt":"p","response":"\xff"}\n', NDJSON, 400, "ine 1"),
        (b"\n\n", NDJSON, 422, "no item"),
        (b"a,b", {"content-type": "text/csv"}, 415, "text/csv"),
    ],
)
def test_a_body_that_cannot_be_read_is_one_problem(
    http: httpx2.Client, body: bytes, headers: dict, status: int, says: str
) -> None:
    refused = http.post("/v1/jobs", content=body, headers={"content-type": "application/json"} | headers)
    assert refused.status_code == status, refused.text
    assert refused.headers["content-type"] == "application/problem+json"
    assert says in refused.text


def test_label_answers_with_rewards_and_an_inline_template_is_recorded(http: httpx2.Client) -> None:
    template = {
        "name": "mine",
        "context": "Q: {prompt}",
        "branches": {"better": {"directive": "good"}, "worse": {"directive": "bad"}},
    }
    answer = http.post("/v1/label", json={"items": [{"prompt": "p", "response": "r"}], "template": template})
    assert answer.status_code == 200
    body = answer.json()
    assert body["provenance"]["template"] == "mine"
    assert len(body["results"][0]["rewards"]) == len(body["results"][0]["token_ids"])


def test_render_shows_every_branch_and_evaluates_nothing(http: httpx2.Client) -> None:
    item = {"prompt": "{response} {prompt.__class__}", "response": "{{ 7*7 }}"}
    body = http.post("/v1/render", json={"item": item}).json()
    text = body["branches"]["better"]["messages"][0]["content"]
    assert "{response} {prompt.__class__}" in text
    assert "{{ 7*7 }}" in text
    assert body["branches"].keys() == {"better", "worse", "plain"}


@pytest.mark.parametrize(
    ("directive", "prompt", "pointer"),
    [
        ("{prompt}" * 20, "x" * 399_999, "/template"),
        ("x" * 20_001, "p", "/template/branches/a/directive"),
        ("{prompt}", "x" * 400_000, "/item"),
    ],
)
def test_render_shows_no_more_than_it_would_take(
    http: httpx2.Client, directive: str, prompt: str, pointer: str
) -> None:
    template = {"name": "greedy", "branches": {"a": {"directive": directive}}}
    body = {"item": {"prompt": prompt, "response": "r"}, "template": template}
    refused = http.post("/v1/render", json=body)
    assert refused.status_code == 422, refused.text[:200]
    assert pointer in [error["pointer"] for error in refused.json()["errors"]]


def test_cancel_keeps_what_is_finished_and_retry_runs_the_rest(synthetic: Stack, http: httpx2.Client) -> None:
    # With the only worker stopped, a job stays queued for as long as it takes to cancel it.
    worker = synthetic.workers[0]
    worker.send(19)
    try:
        items = [{"prompt": "p", "response": f"slow {n}", "id": str(n)} for n in range(4)]
        job = http.post("/v1/jobs", json={"items": items}).json()
        cancelled = http.post(f"/v1/jobs/{job['id']}/cancel").json()
    finally:
        worker.send(18)
    assert cancelled["state"] == "cancelled"
    rows, end = records(http, job["id"])
    assert [(row["id"], row["error"]["code"]) for row in rows] == [(str(n), "cancelled") for n in range(4)]
    assert end["complete"]
    assert http.post(f"/v1/jobs/{job['id']}/cancel").status_code == 200, "cancelling twice is harmless"
    assert http.post(f"/v1/jobs/{job['id']}/retry").status_code == 200
    again = finished(http, job["id"])
    rows, _ = records(http, job["id"])
    assert (again["state"], again["done_items"], again["failed_items"]) == ("succeeded", 4, 0)
    assert all(row["rewards"] for row in rows)
    assert http.post(f"/v1/jobs/{job['id']}/retry").status_code == 409


def test_retry_runs_failed_items_only_and_leaves_the_others_alone(synthetic: Stack, http: httpx2.Client) -> None:
    items = [
        {"prompt": "p", "response": "r1"},
        {"prompt": "p", "token_ids": [99_999]},
        {"prompt": "p", "response": "r2"},
    ]
    options = {"include": ["logprobs", "tokens"]}
    job = finished(http, http.post("/v1/jobs", json={"items": items} | options).json()["id"])
    before, _ = records(http, job["id"])
    assert http.post(f"/v1/jobs/{job['id']}/retry").status_code == 200
    again = finished(http, job["id"])
    after, end = records(http, job["id"])
    assert after == before
    assert (again["done_items"], again["failed_items"]) == (3, 1)
    assert end["complete"]


def test_a_purged_job_is_gone_with_all_its_keys(synthetic: Stack, http: httpx2.Client) -> None:
    job = finished(http, http.post("/v1/jobs", json={"items": [{"prompt": "p", "response": "r"}]}).json()["id"])
    assert http.delete(f"/v1/jobs/{job['id']}").status_code == 204
    assert http.get(f"/v1/jobs/{job['id']}").status_code == 404
    assert list(synthetic.redis.scan_iter(match=f"*{job['id']}*")) == []


@pytest.mark.parametrize("part", ["items", "results", "ranges"])
def test_only_a_jobs_id_names_a_job(http: httpx2.Client, part: str) -> None:
    job = finished(http, http.post("/v1/jobs", json={"items": [{"prompt": "p", "response": part}]}).json()["id"])["id"]
    for method, path in [("GET", ""), ("GET", "/results"), ("DELETE", ""), ("POST", "/cancel"), ("POST", "/retry")]:
        assert http.request(method, f"/v1/jobs/{job}:{part}{path}").status_code == 404, (method, path)


def test_listing_pages_through_jobs_newest_first(http: httpx2.Client) -> None:
    made = [http.post("/v1/jobs", json={"items": [{"prompt": "p", "response": "r"}]}).json()["id"] for _ in range(5)]
    seen: list[str] = []
    cursor = None
    while len(seen) < 5:
        page = http.get("/v1/jobs", params={"limit": 2, **({"cursor": cursor} if cursor else {})}).json()
        seen += [job["id"] for job in page["jobs"]]
        cursor = page["next_cursor"]
    assert seen[:5] == made[::-1]


def test_jobs_that_expired_neither_shorten_a_page_nor_stay_listed(synthetic: Stack, http: httpx2.Client) -> None:
    def make(n: int) -> str:
        return http.post("/v1/jobs", json={"items": [{"prompt": "p", "response": f"r{n}"}]}).json()["id"]

    old = make(0)
    synthetic.redis.zadd("tr:jobs:-", {f"gone-{n}": time.time() for n in range(600)})
    new = make(1)
    page = http.get("/v1/jobs", params={"limit": 2}).json()
    assert [job["id"] for job in page["jobs"]] == [new, old]
    assert page["next_cursor"]
    listed = synthetic.redis.zcard("tr:jobs:-")
    synthetic.redis.zadd("tr:jobs:-", {f"gone-{n}": n for n in range(400)})
    for n in range(60):
        make(n)
    # Each looks at four names by chance. Of up to some 400 others, half are gone: a hundred are met, give or take ten.
    assert synthetic.redis.zcard("tr:jobs:-") < listed + 60 + 400 - 40, "new jobs take old names off the list"


def test_jobs_made_in_one_moment_are_listed_one_by_one(http: httpx2.Client) -> None:
    def call(n: int) -> str:
        body = {"items": [{"prompt": "p", "response": f"r{n}"}]}
        return http.post("/v1/label", json=body).json()["job"]["id"]

    with ThreadPoolExecutor(16) as pool:
        made = set(pool.map(call, range(48)))
    seen: list[str] = []
    query: dict[str, str] = {}
    while len(seen) < len(made):
        page = http.get("/v1/jobs", params={"limit": 1, **query}).json()
        seen += [job["id"] for job in page["jobs"]]
        query = {"cursor": page["next_cursor"]}
    assert set(seen) == made


def test_results_can_be_waited_for(http: httpx2.Client) -> None:
    job = http.post("/v1/jobs", json={"items": [{"prompt": "p", "response": "wait"}]}).json()
    text = http.get(f"/v1/jobs/{job['id']}/results", headers={"Prefer": "wait=20"}).text
    assert json.loads(text.splitlines()[0])["rewards"]


def test_a_foreign_host_or_origin_is_refused_on_loopback(http: httpx2.Client) -> None:
    assert http.get("/healthz", headers={"host": "evil.example"}).status_code == 421
    assert http.get("/healthz", headers={"origin": "http://evil.example"}).status_code == 403
    assert http.get("/healthz", headers={"origin": "http://["}).status_code == 403
    assert http.get("/healthz", headers={"host": "localhost:1"}).status_code == 200


def test_models_workers_templates_and_estimators_are_listed(http: httpx2.Client) -> None:
    assert http.get("/v1/models").json()["models"][0]["workers"] == 1
    assert http.get("/v1/workers").json()["workers"][0]["engine"] == "synthetic"
    assert {t["name"] for t in http.get("/v1/templates").json()["templates"]} >= {"revision", "opposite"}
    assert {e["name"] for e in http.get("/v1/estimators").json()["estimators"]} >= {"contrast"}
    assert http.get("/readyz").json() == {"status": "ready", "workers": 1}


def test_the_same_work_is_scored_once(http: httpx2.Client) -> None:
    items = [{"prompt": "cache me", "response": f"{time.time_ns()}"}] * 3
    hits = http.get("/v1/workers").json()["workers"][0]["cache_hits"]
    for _ in range(2):
        finished(http, http.post("/v1/jobs", json={"items": items}).json()["id"])
    wait_for(lambda: http.get("/v1/workers").json()["workers"][0]["cache_hits"] >= hits + 3, 10, "cache hits")


def test_the_same_request_twice_makes_one_job(http: httpx2.Client) -> None:
    body = {"items": [{"prompt": "p", "response": f"{time.time_ns()}"}]}
    key = {"Idempotency-Key": f"key-{time.time_ns()}"}
    first, second = (http.post("/v1/jobs", json=body, headers=key) for _ in range(2))
    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json()["id"] == second.json()["id"]
    other = http.post("/v1/jobs", json={"items": [{"prompt": "p", "response": "other"}]}, headers=key)
    assert other.status_code == 422
    assert http.post("/v1/jobs", json={**body, "template": "opposite"}, headers=key).status_code == 422
    http.delete(f"/v1/jobs/{first.json()['id']}")
    assert http.post("/v1/jobs", json=body, headers=key).json()["id"] != first.json()["id"]


def test_a_refused_request_leaves_its_idempotency_key_free(http: httpx2.Client) -> None:
    key = {"Idempotency-Key": f"key-{time.time_ns()}"}
    assert http.post("/v1/jobs", json={"items": []}, headers=key).status_code == 422
    assert http.post("/v1/jobs", json={"items": [{"prompt": "p", "response": "r"}]}, headers=key).status_code == 202


def test_a_request_under_way_holds_its_idempotency_key(synthetic: Stack, http: httpx2.Client) -> None:
    key = f"key-{time.time_ns()}"
    host, port = synthetic.url.removeprefix("http://").split(":")
    before = len(synthetic.redis.keys("tr:idem:*"))
    with socket.create_connection((host, int(port))) as raw:
        head = f"POST /v1/jobs HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/x-ndjson\r\n"
        raw.sendall(f"{head}Idempotency-Key: {key}\r\nContent-Length: 1000\r\n\r\n{{".encode())
        body = {"items": [{"prompt": "p", "response": "r"}]}
        wait_for(lambda: len(synthetic.redis.keys("tr:idem:*")) > before, 10, "the first request")
        refused = wait_for(
            lambda: (r := http.post("/v1/jobs", json=body, headers={"Idempotency-Key": key})).status_code == 409 and r
        )
        assert int(refused.headers["retry-after"]) >= 1
    wait_for(lambda: http.post("/v1/jobs", json=body, headers={"Idempotency-Key": key}).status_code == 202, 30)
