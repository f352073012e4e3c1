"""A judge behind a real loopback server that speaks OpenAI's chat completions."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

#: (answer shown first, answer shown second) -> reply
Rule = Callable[[str, str], str]
#: (the request's body, how many came before) -> (status, content)
Answer = Callable[[dict[str, Any], int], tuple[int, Any]]

_SHOWN = re.compile(r"<answer ([AB])>\n(.*?)\n</answer \1>", re.S)


@dataclass
class Served:
    """url: the base address.  seen: what it was sent."""

    url: str = ""
    seen: list[dict[str, Any]] = field(default_factory=list)


def completion(text: str | None, logprobs: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return {
        "id": "c",
        "object": "chat.completion",
        "created": 0,
        "model": "referee",
        "choices": [choice | {"logprobs": None if logprobs is None else {"content": logprobs}}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10},
    }


def by_rule(rule: Rule) -> Answer:
    def answer(body: dict[str, Any], _: int) -> tuple[int, Any]:
        shown = dict(_SHOWN.findall(body["messages"][-1]["content"]))
        return 200, completion(rule(shown["A"], shown["B"]))

    return answer


def longer(first: str, second: str) -> str:
    return "C" if len(first) == len(second) else "A" if len(first) > len(second) else "B"


@contextmanager
def judge_server(answer: Answer) -> Iterator[Served]:
    served = Served()
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            with lock:
                before = len(served.seen)
                served.seen.append(
                    {"path": self.path, "authorization": self.headers.get("authorization"), "body": body}
                )
            status, content = answer(body, before)
            payload = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    served.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
