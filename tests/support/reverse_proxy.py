"""A reverse proxy that offers a service below a path, in the ways that proxies do."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

_HOP_BY_HOP = {"connection", "transfer-encoding", "keep-alive"}


@contextmanager
def reverse_proxy(upstream: str, prefix: str, *, strip: bool, tell: bool) -> Iterator[str]:
    """Offer `upstream` below `prefix`, and nothing beside it.

    Args:
        upstream: The service's own address.
        prefix: Such as `/rewards`.
        strip: Take the prefix off before passing a request on.
        tell: Name it in `X-Forwarded-Prefix`.

    Yields:
        The address below which the service is to be found. Who still asks when the block ends is refused, so close a
        browser's page first.
    """

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass_on(self) -> None:
            if urlsplit(self.path).path != prefix and not self.path.startswith(prefix + "/"):
                self.send_error(404)
                return
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            path = (self.path.removeprefix(prefix) or "/") if strip else self.path
            headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP_BY_HOP}
            if tell:
                headers["X-Forwarded-Prefix"] = prefix
            connection = HTTPConnection(urlsplit(upstream).netloc, timeout=60)
            connection.request(self.command, path, body, headers)
            answer = connection.getresponse()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in _HOP_BY_HOP:
                    self.send_header(name, value)
            self.send_header("Connection", "close")
            self.end_headers()
            self.close_connection = True
            while piece := answer.read1():  # as it comes, so that event streams flow
                self.wfile.write(piece)
                self.wfile.flush()
            connection.close()

        do_GET = do_POST = do_DELETE = do_HEAD = _pass_on  # noqa: N815 (http.server's names)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}{prefix}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
