"""A stand-in for the Hugging Face hub on loopback: it takes repositories and commits, and keeps what they bring."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


class HubServer(ThreadingHTTPServer):
    """The server.

    Attributes:
        files: The content of every file by its path, over all commits.
        messages: The commits' messages.
        repositories: The names that were asked for.
        refuses: Answer every commit with 403.
    """

    def __init__(self, *, refuses: bool = False) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.messages: list[str] = []
        self.repositories: list[str] = []
        self.refuses = refuses

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.server_address[1]}"


@contextmanager
def hub(*, refuses: bool = False) -> Iterator[HubServer]:
    """Runs the stand-in."""
    server = HubServer(refuses=refuses)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: HubServer

    def do_GET(self) -> None:
        self._answer(200, {"name": "somebody", "type": "user", "orgs": [], "sha": "0" * 40, "id": "somebody/run"})

    def do_POST(self) -> None:
        body = self._body()
        if self.path == "/api/repos/create":
            name = json.loads(body)["name"]
            self.server.repositories.append(name)
            self._answer(200, {"url": f"{self.server.url}/somebody/{name}", "name": name})
        elif "/preupload/" in self.path:
            paths = [file["path"] for file in json.loads(body)["files"]]
            self._answer(
                200, {"files": [{"path": path, "uploadMode": "regular", "shouldIgnore": False} for path in paths]}
            )
        elif "/commit/" in self.path and self.server.refuses:
            self._answer(403, {"error": "this token may not write"})
        elif "/commit/" in self.path:
            self._commit([json.loads(line) for line in body.splitlines()])
        else:
            self._answer(200, {"errors": [], "warnings": []})

    def _commit(self, lines: list[dict[str, Any]]) -> None:
        for line in lines:
            if line["key"] == "header":
                self.server.messages.append(line["value"]["summary"])
            elif line["key"] == "file":
                self.server.files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
        oid = "1" * 40
        url = f"{self.server.url}/somebody/{self.server.repositories[-1]}/commit/{oid}"
        self._answer(
            200, {"success": True, "commitOid": oid, "commitUrl": url, "hookOutput": "", "pullRequestUrl": None}
        )

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _answer(self, status: int, content: dict[str, Any]) -> None:
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args: Any) -> None:
        """Says nothing."""
