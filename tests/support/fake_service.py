"""A labeling service in a thread whose faults can be staged: slow, dropping connections, going away, cancelling.

It keeps the wire contract of jobs (idempotency keys, results as a finished prefix) and no more. A token is a
character, its id the character's code, its reward a function of both.
"""

from __future__ import annotations

import json
import random
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.support.staged_server import FINGERPRINT, PROVENANCE, drop
from tokenreward.schema import Job, JobState


def reward(token: str, place: int) -> float:
    return ((ord(token) * 31 + place * 7) % 101 - 50) / 100


@dataclass
class FakeJob:
    id: str
    items: list[dict[str, Any]]
    template: str
    include: list[str]
    query: dict[str, list[str]]
    born: float = field(default_factory=time.monotonic)
    state: JobState | None = None

    def done(self, seconds_per_item: float) -> int:
        if not seconds_per_item or self.state:
            return len(self.items)
        return min(len(self.items), int((time.monotonic() - self.born) / seconds_per_item))


@dataclass
class FakeService:
    """jobs: idempotency key -> job.  scored: responses that were ever taken on, a job's repeated creation aside."""

    url: str = ""
    seconds_per_item: float = 0.0
    drop_share: float = 0.0
    away_until: float = 0.0
    engine_version: str = "1"
    jobs: dict[str, FakeJob] = field(default_factory=dict)
    scored: int = 0
    deleted: int = 0
    requests: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def provenance(self, template: str) -> dict[str, Any]:
        fingerprint = FINGERPRINT.model_copy(update={"engine_version": self.engine_version})
        update = {
            "template": template,
            "template_hash": f"hash of {template}",
            "fingerprint": fingerprint,
            "fingerprint_digest": fingerprint.digest,
        }
        return PROVENANCE.model_copy(update=update).model_dump(mode="json")

    def snapshot(self, job: FakeJob) -> dict[str, Any]:
        done = job.done(self.seconds_per_item)
        state = job.state or (JobState.succeeded if done == len(job.items) else JobState.running)
        return Job(
            id=job.id,
            state=state,
            version=1,
            created_at=1.0,
            total_items=len(job.items),
            done_items=done,
            model="tiny",
            template=job.template,
            estimator="contrast",
            provenance=self.provenance(job.template),  # type: ignore[arg-type]
        ).model_dump(mode="json")

    def create(self, key: str, body: bytes, query: dict[str, list[str]]) -> FakeJob | None:
        """None: the key stands for another request."""
        with self.lock:
            if key not in self.jobs:
                items = [json.loads(line) for line in body.splitlines()]
                job = FakeJob(uuid.uuid4().hex, items, query["template"][0], query.get("include", []), query)
                self.jobs[key] = job
                self.scored += len(items)
            return self.jobs[key] if self.jobs[key].query == query else None

    def result(self, job: FakeJob, index: int) -> dict[str, Any]:
        item = job.items[index]
        text = item["response"] if "response" in item else "".join(map(chr, item["token_ids"]))
        if text == "TOO LONG" or job.state is JobState.cancelled:
            code = "cancelled" if job.state else "too_long"
            return {"index": index, "error": {"code": code, "message": "9000 tokens, the model takes 8192"}}
        result: dict[str, Any] = {
            "index": index,
            "token_ids": [ord(c) for c in text],
            "rewards": [reward(c, i) for i, c in enumerate(text)],
        }
        if "tokens" in job.include:
            result |= {"tokens": list(text), "offsets": [[i, i + 1] for i in range(len(text))]}
        return result


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    service: FakeService

    def _serve(self) -> None:
        service = self.service
        service.requests += 1
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        if time.monotonic() < service.away_until or random.random() < service.drop_share:
            return drop(self)  # type: ignore[arg-type]
        parts = urlsplit(self.path)
        query = parse_qs(parts.query)
        match parts.path.strip("/").split("/"):
            case ["healthz"]:
                return self._json(200, {"status": "ok"})
            case ["v1", "label"]:
                request = json.loads(body)
                job = FakeJob("sync", request["items"], request.get("template", "revision"), request["include"], {})
                snapshot = service.snapshot(job)
                results = [service.result(job, i) for i in range(len(job.items))]
                answer = {"job": snapshot, "results": results, "provenance": snapshot["provenance"]}
                return self._json(200, answer)
            case ["v1", "jobs"]:
                created = service.create(self.headers["idempotency-key"], body, query)
                if created is None:
                    return self._json(422, {"title": "Idempotency-Key reused", "status": 422})
                if random.random() < service.drop_share:
                    return drop(self)  # type: ignore[arg-type]
                return self._json(202, service.snapshot(created))
            case ["v1", "jobs", job_id, *rest]:
                job = next(job for job in service.jobs.values() if job.id == job_id)
                if self.command == "DELETE":
                    service.deleted += 1
                    return self._json(204, None)
                if rest == ["results"]:
                    return self._results(job, int(query["from"][0]))
                return self._json(200, service.snapshot(job))
        return self._json(404, {"title": "Not Found", "status": 404})

    do_GET = do_POST = do_DELETE = _serve  # noqa: N815 (http.server's names)

    def _results(self, job: FakeJob, start: int) -> None:
        service = self.service
        deadline = time.monotonic() + 2
        while (done := job.done(service.seconds_per_item)) <= start and time.monotonic() < deadline:
            time.sleep(0.01)
        lines = [json.dumps(service.result(job, i)).encode() + b"\n" for i in range(start, done)]
        end = {"next": done, "complete": done == len(job.items), "provenance": service.provenance(job.template)}
        content = b"".join(lines) + json.dumps(end).encode() + b"\n"
        self.send_response(200)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        if random.random() < service.drop_share:
            content = content[: random.randrange(len(content))]
            self.wfile.write(content)
            drop(self)  # type: ignore[arg-type]
        else:
            self.wfile.write(content)

    def _json(self, status: int, content: Any) -> None:
        body = b"" if content is None else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def fake_service() -> Iterator[FakeService]:
    handler = type("Handler", (_Handler,), {})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    service = FakeService(f"http://127.0.0.1:{server.server_address[1]}")
    handler.service = service  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
