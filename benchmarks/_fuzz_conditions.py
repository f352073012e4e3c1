"""What random input of the fuzz benchmark cannot bring about: keys, wrong bodies, limits, no worker, no Redis."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2

from benchmarks._fuzz_calls import ENVIRONMENT, JSON, NDJSON, TIMEOUT, Caller, Tally
from benchmarks.harness.adapters import write_adapter
from benchmarks.harness.stack import Stack, running
from benchmarks.harness.waiting import wait_for

_ONE = {"items": [{"prompt": "p", "response": "r"}]}
#: A request of each teacher wire.
_WIRES: dict[str, dict[str, Any]] = {
    "/v1/completions": {"prompt": [[5, 6, 7]], "max_tokens": 1, "prompt_logprobs": 0},
    "/inference/v1/generate": {"token_ids": [5, 6, 7], "sampling_params": {"max_tokens": 1, "prompt_logprobs": 0}},
    "/generate": {
        "input_ids": [5, 6, 7],
        "sampling_params": {"max_new_tokens": 0},
        "return_logprob": True,
        "logprob_start_len": 0,
    },
}
_ADAPTERS = "/v1/models/synthetic/adapters"
_NAMES = ("fingerprint_digest", "template", "template_hash", "estimator", "estimator_hash", "words")
_VERDICT = {"audits": [dict.fromkeys(_NAMES, "x") | {"advice": "no", "responses": 1}]}


def _everything(call: Caller, job: str, adapter: Path) -> None:
    """Every operation once, rightly. adapter: the folder of one."""
    call("PUT", f"{_ADAPTERS}/right", json={"source": str(adapter)})
    for path in ("", "/right"):
        call("GET", _ADAPTERS + path)
    call("DELETE", f"{_ADAPTERS}/right")
    for path in (
        "/v1/models",
        "/v1/workers",
        "/v1/templates",
        "/v1/estimators",
        "/v1/jobs",
        "/metrics",
        "/readyz",
        "/health",
        "/v1/audits",
    ):
        call("GET", path)
    call("PUT", "/v1/audits", json=_VERDICT)
    for path in ("", "/results", "/items", "/events"):
        call("GET", f"/v1/jobs/{job}{path}")
    call("POST", "/v1/jobs", json=_ONE)
    call("POST", "/v1/label", json=_ONE)
    call("POST", "/v1/render", json={"item": _ONE["items"][0]})
    for path, body in _WIRES.items():
        call("POST", path, json=body)
    for path in ("/retry", "/cancel"):
        call("POST", f"/v1/jobs/{job}{path}")
    call("DELETE", f"/v1/jobs/{job}/items")
    call("DELETE", f"/v1/jobs/{job}")


def conditions(folder: Path, tally: Tally) -> None:
    """Keys, wrong bodies, limits, no worker, no Redis."""
    limits = {
        "TOKENREWARD_MAX_QUEUED_SHARDS": "1",
        "TOKENREWARD_MAX_REQUESTS_PER_KEY": "2",
        "TOKENREWARD_MAX_ITEMS": "100",
        "TOKENREWARD_MAX_JSON_BYTES": "20000",
    }
    adapter = folder / "adapter"
    write_adapter(adapter, 1)
    with running(folder, **(ENVIRONMENT | limits)) as stack:
        call = Caller(stack.url, tally)
        posted = ("/v1/jobs", "/v1/label", "/v1/render", *_WIRES)
        for method, path in (
            *(("POST", path) for path in posted),
            ("PUT", "/v1/audits"),
            ("PUT", f"{_ADAPTERS}/wrong"),
        ):
            call(method, path, content=b"{", headers={"content-type": JSON})
            call(method, path, content=b"x" * 30_000, headers={"content-type": JSON})
            call(method, path, content=b"x", headers={"content-encoding": "br", "content-type": JSON})
            call(method, path, json={})
        for path, body in _WIRES.items():
            call("POST", path, json=body)
            call("POST", path, json=body | {"tokenreward": {"model": "none"}})
        call("POST", "/v1/jobs?dry_run=true", json=_ONE)
        call("PUT", "/v1/audits", json=_VERDICT)
        call("GET", "/v1/audits")
        for path in (
            "/v1/jobs?limit=0",
            "/v1/jobs/none/results?from=-1",
            "/v1/jobs/none/items?from=-1",
            "/readyz?model=" + "x" * 600,
        ):
            call("GET", path)
        for of in (_ADAPTERS, "/v1/models/none/adapters"):
            call("GET", of)
            call("GET", f"{of}/none")
            call("DELETE", f"{of}/none")
        job = _ended(call, _ONE)
        etag = call.answer("GET", f"/v1/jobs/{job}/results").headers["etag"]
        call("GET", f"/v1/jobs/{job}/results", headers={"If-None-Match": etag})
        version = call.answer("GET", f"/v1/jobs/{job}").json()["version"]
        for known in ({}, {"Last-Event-ID": str(version)}):
            call("GET", f"/v1/jobs/{job}/events", headers=known)
        _lives(call, job)
        _same_request_under_way(stack, call)
        _full(stack, call)
        _keys(stack, tally, job, adapter)
        down = Caller(stack.url, tally, down=True)
        stack.workers[0].kill()
        wait_for(lambda: down.answer("GET", "/readyz").status_code == 503, 90, "no worker")
        down("POST", "/v1/label", json=_ONE)
        assert stack.valkey is not None
        stack.valkey.kill()
        time.sleep(1.2)
        _everything(down, job, adapter)


def _ended(call: Caller, items: dict[str, Any]) -> str:
    """A job that is over."""
    job: str = call.answer("POST", "/v1/jobs", json=items).json()["id"]
    wait_for(lambda: call.answer("GET", f"/v1/jobs/{job}").json()["state"] == "succeeded", 20, "the job")
    return job


def _lives(call: Caller, job: str) -> None:
    """What is asked of a job that is over, of one that nobody knows, and of one whose only item failed."""
    call("GET", "/healthz")
    call("POST", "/v1/label", json=_ONE)
    for name in (job, "none"):
        call("GET", f"/v1/jobs/{name}/results")
        call("GET", f"/v1/jobs/{name}/items")
        call("POST", f"/v1/jobs/{name}/cancel")
        call("POST", f"/v1/jobs/{name}/retry")
    failed = _ended(call, {"items": [{"prompt": ""}]})
    call("POST", f"/v1/jobs/{failed}/retry")
    for name in (failed, "none"):
        call("DELETE", f"/v1/jobs/{name}/items")
    call("DELETE", f"/v1/jobs/{failed}")


@contextmanager
def _stopped(stack: Stack) -> Iterator[None]:
    stack.workers[0].send(19)
    try:
        yield
    finally:
        stack.workers[0].send(18)


def _full(stack: Stack, call: Caller) -> None:
    with _stopped(stack):
        bad = call.answer("POST", "/v1/jobs", json={"items": [{"prompt": ""}]})
        call("POST", "/v1/label", json=_ONE, headers={"Prefer": "wait=0"})
        wait_for(lambda: call.answer("POST", "/v1/jobs", json=_ONE).status_code == 429, 10, "a full queue")
        call("POST", "/v1/label", json=_ONE)
        call("PUT", "/v1/audits", json=_VERDICT)
        for path, body in _WIRES.items():
            call("POST", path, json=body)
        call("POST", f"/v1/jobs/{bad.json()['id']}/retry")
        waiting = call.answer("GET", "/v1/jobs").json()["jobs"][0]["id"]
        events = f"{stack.url}/v1/jobs/{waiting}/events"
        with httpx2.stream("GET", events, timeout=TIMEOUT), httpx2.stream("GET", events, timeout=TIMEOUT):
            call("GET", f"/v1/jobs/{waiting}/events")
        call("DELETE", f"/v1/jobs/{waiting}/items")
        call("POST", f"/v1/jobs/{waiting}/cancel")


def _same_request_under_way(stack: Stack, call: Caller) -> None:
    host, port = stack.url.removeprefix("http://").split(":")
    head = f"POST /v1/jobs HTTP/1.1\r\nHost: {host}\r\nContent-Type: {NDJSON}\r\nContent-Length: 99\r\n"
    with socket.create_connection((host, int(port))) as slow:
        slow.sendall(f"{head}Idempotency-Key: slow\r\n\r\n{{".encode())
        wait_for(lambda: list(stack.redis.scan_iter(match="tr:idem:*")), 10, "the first request")
        call("POST", "/v1/jobs", json=_ONE, headers={"Idempotency-Key": "slow"})


def _keys(stack: Stack, tally: Tally, job: str, adapter: Path) -> None:
    from tokenreward_service.api_keys.store import KeyFile

    file = KeyFile(stack.redis)
    _, token = file.create("operator", ["admin"])
    wait_for(lambda: httpx2.get(stack.url + "/v1/jobs").status_code == 401, 10, "the lock")
    _everything(Caller(stack.url, tally), job, adapter)
    _, narrow = file.create("script", ["label"])
    _everything(Caller(stack.url, tally, authorization=f"Bearer {token}"), "none", adapter)
    time.sleep(1.1)
    other = Caller(stack.url, tally, authorization=f"Bearer {narrow}")
    other("GET", "/metrics")
    other("PUT", f"{_ADAPTERS}/right", json={"source": str(adapter)})
    other("DELETE", f"{_ADAPTERS}/right")
    file.revoke("operator")
    file.revoke("script")
    file.forget_revoked()
    wait_for(lambda: httpx2.get(stack.url + "/v1/jobs").status_code == 200, 10, "the opening")
