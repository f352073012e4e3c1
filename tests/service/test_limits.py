"""Bodies that are compressed or too much, and a service that is asked for more than it can keep."""

from __future__ import annotations

import gzip
import json
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import psutil
import pytest
import zstandard

from benchmarks.harness.stack import Stack, running
from benchmarks.harness.waiting import patience, wait_for

NDJSON = {"content-type": "application/x-ndjson"}
LINE = b'{"prompt":"p","response":"r"}\n'


def post(stack: Stack, body: object, path: str = "/v1/jobs", **headers: str) -> httpx2.Response:
    return httpx2.post(stack.url + path, content=body, headers=NDJSON | headers, timeout=patience(60))


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("gzip", gzip.compress(LINE * 3, mtime=0)),
        ("gzip", gzip.compress(LINE, mtime=0) + gzip.compress(LINE * 2, mtime=0)),
        ("zstd", zstandard.compress(LINE * 3)),
        ("ZSTD", zstandard.compress(LINE) + zstandard.compress(LINE * 2)),
    ],
)
def test_compressed_bodies_are_read(synthetic: Stack, coding: str, body: bytes) -> None:
    accepted = post(synthetic, body, **{"content-encoding": coding})
    assert accepted.status_code == 202, accepted.text
    assert accepted.json()["total_items"] == 3


@pytest.mark.parametrize(
    ("coding", "body", "status"),
    [
        ("br", b"x", 415),
        ("gzip, gzip", gzip.compress(gzip.compress(LINE, mtime=0), mtime=0), 415),
        ("gzip", LINE, 400),
        ("zstd", LINE, 400),
        ("gzip", gzip.compress(LINE, mtime=0)[:-4], 400),
        ("zstd", zstandard.compress(LINE)[:-1], 400),
        ("gzip", gzip.compress(LINE, mtime=0) + b"trailing", 400),
        ("gzip", b"", 422),
    ],
)
def test_a_body_that_is_not_what_its_coding_says_is_a_problem(
    synthetic: Stack, coding: str, body: bytes, status: int
) -> None:
    refused = post(synthetic, body, **{"content-encoding": coding})
    assert refused.status_code == status, refused.text
    assert refused.headers["content-type"] == "application/problem+json"


def test_the_same_content_compressed_and_plain_is_the_same_request(synthetic: Stack) -> None:
    key = {"idempotency-key": f"coded-{time.time_ns()}"}
    plain = post(synthetic, LINE, **key)
    coded = post(synthetic, zstandard.compress(LINE), **key, **{"content-encoding": "zstd"})
    assert plain.json()["id"] == coded.json()["id"]


def gzip_bomb(size: int) -> Iterator[bytes]:
    compressor = zlib.compressobj(9, wbits=31)
    block = b" " * 2**20
    for _ in range(size // len(block)):
        if piece := compressor.compress(block):
            yield piece
    yield compressor.flush()


def zstd_bomb(size: int) -> bytes:
    """A frame of run-length blocks: 4 bytes for 128 KiB each."""
    block = ((128 * 1024 << 3) | (1 << 1)).to_bytes(3, "little") + b" "
    return b"\x28\xb5\x2f\xfd\x00\x58" + block * (size // 131_072)


@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/label", "/v1/render"])
@pytest.mark.parametrize("media", ["application/json", "application/x-ndjson"])
def test_ten_gigabytes_in_a_small_body_are_refused_within_little_memory(
    synthetic: Stack, path: str, media: str
) -> None:
    assert synthetic.api is not None
    process = psutil.Process(synthetic.api.pid)
    before = process.memory_info().rss
    headers = {"content-type": media}
    refused = post(synthetic, zstd_bomb(10 * 2**30), path, **headers, **{"content-encoding": "zstd"})
    assert refused.status_code in (413, 415), refused.text
    refused = post(synthetic, b"".join(gzip_bomb(2**28)), path, **headers, **{"content-encoding": "gzip"})
    assert refused.status_code in (413, 415), refused.text
    assert process.memory_info().rss - before < 50 * 2**20


def test_sizes_are_limited_and_said(tmp_path: Path) -> None:
    limits = {
        "TOKENREWARD_MAX_BODY_BYTES": "200000",
        "TOKENREWARD_MAX_JSON_BYTES": "100000",
        "TOKENREWARD_MAX_ITEMS": "100",
        "TOKENREWARD_MAX_ITEM_CHARS": "1000",
    }
    with running(tmp_path, **limits) as stack:
        big = b'{"prompt":"p","response":"' + b"x" * 150_000 + b'"}\n'
        assert post(stack, big).status_code == 413, "a line"
        assert post(stack, LINE * 101).status_code == 413, "items"
        assert post(stack, b"\n" * 200_001).status_code == 413, "the body"
        assert post(stack, gzip.compress(b"\n" * 200_001, mtime=0), **{"content-encoding": "gzip"}).status_code == 413
        text = json.dumps({"items": [{"prompt": "p", "response": "x" * 100_000}]}).encode()
        assert post(stack, text, **{"content-type": "application/json"}).status_code == 413


def test_work_that_cannot_be_kept_gets_429_before_anything_is_accepted(tmp_path: Path) -> None:
    with running(tmp_path, TOKENREWARD_MAX_QUEUED_SHARDS="2", TOKENREWARD_SHARD_ITEMS="1") as stack:
        stack.workers[0].send(19)
        try:
            assert post(stack, LINE * 4).status_code == 202
            refused = wait_for(lambda: (r := post(stack, LINE)).status_code == 429 and r, 10, "the limit")
            assert int(refused.headers["retry-after"]) > 0
            body = {"items": [{"prompt": "p", "response": "r"}]}
            assert httpx2.post(stack.url + "/v1/label", json=body).status_code == 429
            jobs = len(httpx2.get(stack.url + "/v1/jobs").json()["jobs"])
            post(stack, LINE)
            assert len(httpx2.get(stack.url + "/v1/jobs").json()["jobs"]) == jobs
        finally:
            stack.workers[0].send(18)
        wait_for(lambda: post(stack, LINE).status_code == 202, 30, "room")


def test_a_full_job_store_gets_429_while_finished_jobs_can_be_read(tmp_path: Path) -> None:
    with running(tmp_path) as stack:
        job = post(stack, LINE).json()["id"]
        stack.redis.config_set("maxmemory", "1mb")
        wait_for(lambda: post(stack, LINE).status_code == 429, 10, "the limit")
        assert httpx2.get(f"{stack.url}/v1/jobs/{job}").status_code == 200
        stack.redis.config_set("maxmemory", "0")
        wait_for(lambda: post(stack, LINE).status_code == 202, 10, "room")


def test_the_cache_leaves_room_for_jobs(tmp_path: Path) -> None:
    def cached(line: str) -> int:
        before = len(list(stack.redis.scan_iter(match="tr:cache:*")))
        job = post(stack, line).json()["id"]
        wait_for(lambda: httpx2.get(f"{stack.url}/v1/jobs/{job}").json()["state"] == "succeeded", 20, "the end")
        time.sleep(0.3)  # the cache is written after the results
        return len(list(stack.redis.scan_iter(match="tr:cache:*"))) - before

    with running(tmp_path) as stack:
        stack.redis.setrange("ballast", 30_000_000, b"x")  # what connections and jobs take is little beside it
        stack.redis.config_set("maxmemory", int(stack.redis.info("memory")["used_memory"] / 0.7))
        assert cached('{"prompt":"p","response":"one"}\n') == 0
        stack.redis.config_set("maxmemory", "0")
        time.sleep(2.1)  # so often do workers look
        assert cached('{"prompt":"p","response":"two"}\n') > 0


def test_one_caller_cannot_hold_every_place(tmp_path: Path) -> None:
    slow = {"TOKENREWARD_MAX_REQUESTS_PER_KEY": "4", "TOKENREWARD_SYNTHETIC_RATE": "20"}
    with running(tmp_path, **slow) as stack, httpx2.Client(base_url=stack.url, timeout=patience(60)) as http:

        def call(n: int) -> int:
            return http.post("/v1/label", json={"items": [{"prompt": "p", "response": f"r{n}"}] * 20}).status_code

        with ThreadPoolExecutor(32) as pool:
            seen = list(pool.map(call, range(32)))
        assert set(seen) == {200, 429}
        assert call(0) == 200, "places are given back"
