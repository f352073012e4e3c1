"""A Sentinel that says what a test tells it to: real ones cannot be made to disagree at a set moment."""

from __future__ import annotations

import contextlib
import socketserver
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Address = tuple[str, int]


class FakeSentinel:
    """Answers what a client asks Sentinels about one store. Its attributes may be changed at any time.

    Attributes:
        name: The master name that it watches.
        listed: The primary that it lists.
        flags: What it says of that primary.
        epoch: The number of the change-over that made it the primary.
        sent_to: The server that it sends clients to.
        replicas: How many replicas it sees alive; beside them it knows one that is down.
        changes_over: To where it changes over once it has been asked for its masters.
        others: How many Sentinels it knows beside itself.
        refuses: Whether its users may not ask it anything.
        answers: Is cleared to have it stay silent.
        asked: How often it was asked each question.
        port: Where it listens.
    """

    #: The replica that is down.
    GONE: Address = ("127.0.0.1", 99)

    @staticmethod
    def replica(number: int) -> Address:
        """Where one of those that are alive is."""
        return "127.0.0.1", 11 + number

    def __init__(self, name: str, primary: Address, replicas: int = 0) -> None:
        self.name = name
        self.listed = self.sent_to = primary
        self.flags = "master"
        self.epoch = 0
        self.replicas = replicas
        self.others = 2
        self.changes_over: Address | None = None
        self.refuses = False
        self.answers = threading.Event()
        self.answers.set()
        self.asked: Counter[str] = Counter()
        self.port = 0
        self._server: Any = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Listen, at the same port as before."""
        fake = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                fake.clients.append(self.connection)
                with contextlib.suppress(OSError, ValueError):
                    while line := self.rfile.readline():
                        words = [self._word() for _ in range(int(line[1:]))]
                        self.wfile.write(fake._answer(words))

            def _word(self) -> str:
                size = int(self.rfile.readline()[1:])
                return self.rfile.read(size + 2)[:-2].decode()

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True
            request_queue_size = 1024

        self.clients: list[Any] = []
        self._server = Server(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def stop(self) -> None:
        """Be away, and end all connections."""
        self._server.shutdown()
        self._server.server_close()
        self.answers.set()
        for client in self.clients:
            with contextlib.suppress(OSError):
                client.shutdown(2)

    def _answer(self, words: Sequence[str]) -> bytes:
        if words[0].upper() != "SENTINEL":
            return _packed({"server": "redis", "proto": 3}) if words[0].upper() == "HELLO" else b"+OK\r\n"
        question = words[1].upper()
        self.asked[question] += 1
        self.answers.wait()
        if self.refuses:
            return b"-NOPERM this user may not\r\n"
        if question == "MASTERS":
            answer = _packed([self._shown(self.name, self.listed, self.flags)])
            if self.changes_over is not None:
                self.listed = self.sent_to = self.changes_over
                self.changes_over, self.epoch = None, self.epoch + 1
            return answer
        if question == "GET-MASTER-ADDR-BY-NAME":
            return _packed([self.sent_to[0], str(self.sent_to[1])]) if words[2] == self.name else b"_\r\n"
        alive = [self._shown(f"replica-{n}", self.replica(n), "slave") for n in range(self.replicas)]
        return _packed([*alive, self._shown("gone", self.GONE, "slave,s_down")])

    def _shown(self, name: str, address: Address, flags: str) -> dict[str, str]:
        shown = {"name": name, "ip": address[0], "port": str(address[1]), "flags": flags}
        return shown | {"num-other-sentinels": str(self.others), "config-epoch": str(self.epoch)}


@contextlib.contextmanager
def sentinels(*watching: FakeSentinel) -> Iterator[str]:
    """Start them. Yields the address of the store that they watch, by all of them."""
    for one in watching:
        one.start()
    try:
        yield f"redis+sentinel://{','.join(one.address for one in watching)}/{watching[0].name}"
    finally:
        for one in watching:
            one.stop()


def _packed(value: int | str | Sequence[Any] | Mapping[str, Any]) -> bytes:
    """As RESP3 has it."""
    if isinstance(value, int):
        return b":%d\r\n" % value
    if isinstance(value, str):
        return b"$%d\r\n%s\r\n" % (len(value.encode()), value.encode())
    if isinstance(value, Mapping):
        return b"%%%d\r\n" % len(value) + b"".join(_packed(part) for item in value.items() for part in item)
    return b"*%d\r\n" % len(value) + b"".join(map(_packed, value))
