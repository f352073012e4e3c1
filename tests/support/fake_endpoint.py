"""A vLLM-like endpoint in a thread, for faults of endpoints: busy, failing, swapped, with another tokenizer.

A token's log-prob is a function of its id, its place and the model's seed.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tokenreward.chat_format import ChatFormat


class FakeEndpoint:
    """See the module. Use as a context manager.

    Attributes:
        scored: Requests that were answered with log-probs.
        model_seed: Another seed is another model.
        refuses: A response with this token id gets 400.
        models: The names that it lists.
        answers: The status of a path that answers nothing else.
        asked: How often each path was asked for.
    """

    def __init__(self, chat: ChatFormat, shift: int = 0) -> None:
        self.scored = 0
        self.model_seed = 0
        self.refuses = -1
        self.models = ["fake"]
        self.answers: dict[str, int] = {}
        self.asked: Counter[str] = Counter()
        self._chat = chat
        self._shift = shift
        self._failures: list[int] = []
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> FakeEndpoint:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def fail(self, times: int, status: int = 502) -> None:
        """Answers the next requests for scores with a status."""
        with self._lock:
            self._failures = [status] * times

    def answer(self, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        self.asked[path] += 1
        if path in self.answers:
            return self.answers[path], {}
        if path == "/v1/models":
            return 200, {"object": "list", "data": [{"id": name, "max_model_len": 4097} for name in self.models]}
        if path == "/version":
            return 200, {"version": "0.0"}
        if path == "/get_server_info":
            return 404, {}
        if path == "/tokenize":
            (ids,) = self._chat.tokenizer.encode([body["prompt"]])
            return 200, {"tokens": [token + self._shift for token in ids]}
        with self._lock:
            if self._failures:
                return self._failures.pop(), {}
            self.scored += 1
        if any(self.refuses in ids for ids in body["prompt"]):
            return 400, {"error": {"message": f"refuses token {self.refuses}"}}
        choices = [{"index": n, "prompt_logprobs": self._rows(ids)} for n, ids in enumerate(body["prompt"])]
        return 200, {"model": "fake", "choices": choices}

    def _rows(self, ids: list[int]) -> list[Any]:
        values = [-((token * 31 + place * 7 + self.model_seed * 50) % 97) / 10 for place, token in enumerate(ids)]
        return [None, *({str(t): {"logprob": v, "rank": 1}} for t, v in zip(ids[1:], values[1:], strict=True))]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._send(*fake.answer(self.path, {}))

            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers["Content-Length"]))
                self._send(*fake.answer(self.path, json.loads(content)))

            def _send(self, status: int, body: dict[str, Any]) -> None:
                data = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                pass

        return Handler
