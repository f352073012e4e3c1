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
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest import SkipTest

import httpx2
import zstandard
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable

from benchmarks._fuzz_calls import ENVIRONMENT, JSON, NDJSON, TIMEOUT, Caller, Tally
from benchmarks._fuzz_conditions import conditions
from benchmarks._report import table, write
from benchmarks.harness.stack import Stack, running


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
                        answer = case.call(base_url=stack.url, session=session, timeout=TIMEOUT)
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


def fuzz(folder: Path, requests: int, salt: int) -> Tally:
    """All sources, about `requests` requests."""
    (folder / "open").mkdir()
    with running(folder / "open", **ENVIRONMENT) as stack:
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
