"""A real HTTP server whose every answer is staged: the faults a client must live with."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tokenreward.schema import Fingerprint, Job, JobState, Provenance

Answer = Callable[["_Handler"], None]

FINGERPRINT = Fingerprint(
    model="tiny", model_hash="m", tokenizer_hash="t", engine="synthetic", engine_version="1", dtype="float32"
)
PROVENANCE = Provenance(
    fingerprint=FINGERPRINT,
    fingerprint_digest=FINGERPRINT.digest,
    template="revision",
    template_hash="th",
    estimator="contrast",
    estimator_hash="eh",
    tokenreward_version="0.1.0",
)


def job(state: str = "succeeded", *, name: str = "j1", total: int = 2, done: int | None = None) -> dict[str, Any]:
    return Job(
        id=name,
        state=JobState(state),
        version=1,
        created_at=1.0,
        total_items=total,
        done_items=total if done is None else done,
        model="tiny",
        template="revision",
        estimator="contrast",
        provenance=PROVENANCE,
    ).model_dump(mode="json")


def result_line(index: int) -> bytes:
    return json.dumps({"index": index, "token_ids": [index, 2], "rewards": [0.25, -0.5]}).encode() + b"\n"


def end_line(resume: int, complete: bool) -> bytes:
    return json.dumps({"next": resume, "complete": complete, "provenance": PROVENANCE.model_dump()}).encode() + b"\n"


@dataclass
class Seen:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    connection: tuple[str, int]


@dataclass
class Staged:
    """`stage` answers in order; the last one stays for every further request. `seen` is what came."""

    url: str
    answers: deque[Answer] = field(default_factory=deque)
    seen: list[Seen] = field(default_factory=list)

    def stage(self, *answers: Answer) -> None:
        self.answers.extend(answers)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    staged: Staged

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.staged.seen.append(Seen(self.command, self.path, headers, body, self.client_address))
        answers = self.staged.answers
        answer = answers[0] if len(answers) == 1 else answers.popleft()
        answer(self)

    do_GET = do_POST = do_DELETE = _serve  # noqa: N815 (http.server's names)

    def log_message(self, *_: object) -> None:
        pass

    def whole(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"content-length": str(len(body)), "content-type": "application/json", **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)


def reply(status: int, content: Any, **headers: str) -> Answer:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return lambda handler: handler.whole(status, body, **headers)


def problem(status: int, title: str = "No", *, errors: Any = (), **headers: str) -> Answer:
    content = {"title": title, "status": status, "detail": "because", "errors": list(errors)}
    return reply(status, content, content_type="application/problem+json", **headers)


def drop(handler: _Handler) -> None:
    """The connection is reset before any answer."""
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    handler.connection.close()
    handler.close_connection = True


def cut(*blocks: bytes) -> Answer:
    """A chunked answer that breaks off after `blocks`."""

    def answer(handler: _Handler) -> None:
        handler.send_response(200)
        handler.send_header("transfer-encoding", "chunked")
        handler.end_headers()
        for block in blocks:
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(block), block))
        handler.wfile.flush()
        handler.connection.shutdown(socket.SHUT_RDWR)
        handler.close_connection = True

    return answer


def slow(seconds: float, then: Answer) -> Answer:
    def answer(handler: _Handler) -> None:
        time.sleep(seconds)
        try:
            then(handler)
        except OSError:
            handler.close_connection = True

    return answer


@contextmanager
def staged_server() -> Iterator[Staged]:
    handler = type("Handler", (_Handler,), {})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    staged = Staged(f"http://127.0.0.1:{server.server_address[1]}")
    handler.staged = staged  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield staged
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
