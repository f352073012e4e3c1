"""Throws whatever can be made up at the API and counts what comes back.

    python benchmarks/fuzz.py [--requests 100000] [--seed 0]

Four sources: schemathesis over the OpenAPI document; hypothesis over NDJSON bodies, whole and damaged, plain and
compressed; random walks through a job's life; and a round of conditions that random input cannot bring about (keys,
limits, no worker, no Redis). `server_errors` are answers of 500 and above other than a deliberate 503; `hangs` are
requests without an answer in time; `coverage` is the share of documented (operation, status) pairs that were seen.
Exit status 1 if there is a server error, a hang, or a documented pair that was never seen.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import re
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from unittest import SkipTest

import httpx2
import zstandard
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable

from benchmarks._report import table, write
from benchmarks.harness.adapters import write_adapter
from benchmarks.harness.stack import Stack, running
from benchmarks.harness.waiting import wait_for

JSON, NDJSON = "application/json", "application/x-ndjson"
_TIMEOUT = 20.0
_ENVIRONMENT = {
    "TOKENREWARD_LABEL_WAIT_SECONDS": "2",
    "TOKENREWARD_TEACHER_WAIT_SECONDS": "2",
    "TOKENREWARD_JOB_TTL_SECONDS": "120",
}
Pair = tuple[str, str, int]


class Tally:
    """What came back, by documented operation and status."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.documented: set[Pair] = set()
        self.seen: Counter[Pair] = Counter()
        self.requests = self.hangs = 0
        self.bad: list[str] = []
        self._routes: list[tuple[str, re.Pattern[str], str]] = []
        for path, operations in document["paths"].items():
            for method, operation in operations.items():
                pattern = re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(path)) + "$")
                self._routes.append((method.upper(), pattern, path))
                self.documented |= {(method.upper(), path, int(status)) for status in operation["responses"]}

    def note(self, method: str, path: str, status: int, *, may_be_down: bool = False) -> None:
        self.requests += 1
        route = next((r for m, pattern, r in self._routes if m == method and pattern.match(path)), None)
        if status > 503 or 500 <= status < 503 or (status == 503 and not may_be_down and route != "/readyz"):
            self.bad.append(f"{method} {path}: {status}")
        if route is not None:
            self.seen[method, route, status] += 1
            if status < 500 and (method, route, status) not in self.documented and status != 405:
                self.bad.append(f"{method} {path}: {status} is not documented")

    @property
    def missing(self) -> list[Pair]:
        return sorted(self.documented - self.seen.keys())

    @property
    def coverage(self) -> float:
        return len(self.documented & self.seen.keys()) / len(self.documented)


class Caller:
    """An HTTP client that counts. down: whether a 503 is what is being tested."""

    def __init__(self, url: str, tally: Tally, *, down: bool = False, **headers: str) -> None:
        self._http = httpx2.Client(base_url=url, timeout=_TIMEOUT, headers=headers)
        self._tally = tally
        self._down = down

    def __call__(self, method: str, path: str, **options: Any) -> httpx2.Response | None:
        try:
            answer = self._http.request(method, path, **options)
        except httpx2.TimeoutException:
            self._tally.hangs += 1
            return None
        self._tally.note(method, answer.url.path, answer.status_code, may_be_down=self._down)
        return answer

    def answer(self, method: str, path: str, **options: Any) -> httpx2.Response:
        """Where what follows needs one."""
        answer = self(method, path, **options)
        assert answer is not None, f"{method} {path} hangs"
        return answer


# ---- sources ------------------------------------------------------------------------------------------


def _quickly(examples: int) -> settings:
    return settings(
        max_examples=max(examples, 1),
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )


def by_document(stack: Stack, tally: Tally, requests: int, salt: int) -> None:
    """schemathesis: every operation with input that fits its description, and input that does not."""
    import requests as http
    import schemathesis
    from schemathesis import GenerationMode

    schema = schemathesis.openapi.from_url(stack.url + "/openapi.json")
    operations = [found.ok() for found in schema.get_all_operations()]
    with http.Session() as session:
        for operation in operations:
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):

                @seed(salt)
                @_quickly(requests // (2 * len(operations)))
                @given(case=operation.as_strategy(generation_mode=mode))
                def run(case: Any) -> None:
                    try:
                        answer = case.call(base_url=stack.url, session=session, timeout=_TIMEOUT)
                    except http.Timeout:
                        tally.hangs += 1
                        return
                    except http.ConnectionError as error:
                        tally.bad.append(f"{case.method} {case.path}: no answer, {type(error).__name__}")
                        return
                    except (http.RequestException, UnicodeError, ValueError):  # what no client can send
                        return
                    path = re.sub(r"^https?://[^/]+|[?#].*$", "", answer.request.url)
                    tally.note(answer.request.method, path, answer.status_code)

                with suppress(Unsatisfiable, SkipTest):  # e.g. an operation for which no wrong input exists
                    run()


_text = st.text(max_size=40)
_anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_text, inner, max_size=3),
    max_leaves=8,
)
_message = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant", "system", "tool", ""]), "content": _text}
)
_item = st.fixed_dictionaries(
    {"prompt": _text | st.lists(_message, max_size=3)},
    optional={
        "response": _text,
        "token_ids": st.lists(st.integers(-5, 2**33), max_size=5),
        "id": _text,
        "finished": st.booleans(),
        "extra": _anything,
    },
)
_line = st.one_of(_item, _item, _anything).map(json.dumps) | _text
_body = st.lists(_line, max_size=6).map(lambda lines: "\n".join(lines).encode("utf-8", "surrogatepass"))
_coding = st.sampled_from(["", "", "gzip", "zstd", "br"])


def by_lines(stack: Stack, tally: Tally, requests: int, salt: int) -> None:
    """hypothesis: NDJSON and JSON bodies of right, wrong and no items; damaged and compressed."""
    call = Caller(stack.url, tally)

    @seed(salt)
    @_quickly(requests)
    @given(_body, _coding, st.integers(0, 40), st.sampled_from([JSON, NDJSON, NDJSON]), st.booleans())
    def run(body: bytes, coding: str, cut: int, media: str, strict: bool) -> None:
        packed = gzip.compress(body) if coding == "gzip" else zstandard.compress(body) if coding == "zstd" else body
        if cut > 30:
            packed = packed[: len(packed) - cut + 30]
        headers = {"content-type": media} | ({"content-encoding": coding} if coding else {})
        call("POST", "/v1/jobs", params={"strict": "true"} if strict else {}, content=packed, headers=headers)

    run()


def by_life(stack: Stack, tally: Tally, requests: int, salt: int) -> None:
    """Random walks: jobs are made, followed, read in all ways, cancelled, tried again and deleted, in any order."""
    call = Caller(stack.url, tally)
    chance = random.Random(salt)
    etag = '"none"'
    jobs: list[str] = ["none"]
    until = tally.requests + requests
    while tally.requests < until:
        job = f"/v1/jobs/{chance.choice(jobs[-8:])}"
        action = chance.choice(
            ["make", "show", "results", "items", "empty", "events", "cancel", "retry", "delete", "list", "label"]
        )
        if action == "make":
            items = [{"prompt": "p", "response": chance.choice(["", f"r{chance.random()}"])} for _ in range(3)]
            key = {"Idempotency-Key": f"k{chance.randrange(50)}"} if chance.random() < 0.3 else {}
            answer = call("POST", "/v1/jobs", json={"items": items}, headers=key)
            if answer is not None and answer.status_code == 202:
                jobs.append(answer.json()["id"])
        elif action == "label":
            call("POST", "/v1/label", json={"items": [{"prompt": "p", "response": "r"}]}, headers={"Prefer": "wait=1"})
        elif action == "results":
            query = {"from": chance.randrange(5), **chance.choice([{}, {"errors": "only"}, {"sort": "mean_reward"}])}
            accept = chance.choice([NDJSON, "application/vnd.apache.arrow.stream"])
            answer = call("GET", job + "/results", params=query, headers={"If-None-Match": etag, "Accept": accept})
            etag = answer.headers.get("etag", etag) if answer is not None else etag
        elif action == "events":
            known = call("GET", job)
            version = str(known.json().get("version", 0)) if known is not None else "0"
            call("GET", job + "/events", headers={"Last-Event-ID": version})
        elif action in ("cancel", "retry"):
            call("POST", f"{job}/{action}")
        else:
            call(
                *{
                    "show": ("GET", job),
                    "items": ("GET", job + "/items"),
                    "empty": ("DELETE", job + "/items"),
                    "delete": ("DELETE", job),
                    "list": ("GET", "/v1/jobs"),
                }[action]
            )


# ---- conditions that random input cannot bring about ----------------------------------------------------

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
    with running(folder, **(_ENVIRONMENT | limits)) as stack:
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
        with httpx2.stream("GET", events, timeout=_TIMEOUT), httpx2.stream("GET", events, timeout=_TIMEOUT):
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


def fuzz(folder: Path, requests: int, salt: int) -> Tally:
    """All sources, about `requests` requests."""
    (folder / "open").mkdir()
    with running(folder / "open", **_ENVIRONMENT) as stack:
        tally = Tally(httpx2.get(stack.url + "/openapi.json").json())
        by_document(stack, tally, requests // 3, salt)
        by_lines(stack, tally, requests // 3, salt)
        by_life(stack, tally, requests - tally.requests, salt)
    (folder / "conditions").mkdir()
    conditions(folder / "conditions", tally)
    return tally


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tr-fuzz-") as folder:
        tally = fuzz(Path(folder), arguments.requests, arguments.seed)
    figures = {
        "requests": tally.requests,
        "server_errors": sum("not documented" not in line for line in tally.bad),
        "hangs": tally.hangs,
        "coverage": round(tally.coverage, 4),
    }
    table("fuzz", [*figures.items(), ("documented pairs", len(tally.documented))])
    for line in [*sorted(set(tally.bad))[:30], *(f"never seen: {pair}" for pair in tally.missing)]:
        print(line)
    print(write("fuzz", figures))
    return 1 if tally.bad or tally.hangs or tally.missing else 0


if __name__ == "__main__":
    sys.exit(main())
