"""The vocabulary between the protocol and the network: requests and pauses go out, replies or failures come back.

An `Operation` is a generator that yields a `Request` or a `Pause` and is sent the `Outcome`. It does no I/O itself, so
the sync and the async connection run the same operations.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, TypeVar

JSON = "application/json"
NDJSON = "application/x-ndjson"


@dataclass(frozen=True)
class SpooledBody:
    """A request body in a temporary file. It can be sent again, because both readers start at the beginning.

    Attributes:
        file: The open file.
        length: Its size in bytes.
    """

    file: IO[bytes]
    length: int

    def blocks(self) -> Iterator[bytes]:
        """Yield the body in blocks of 64 KiB."""
        self.file.seek(0)
        while block := self.file.read(1 << 16):
            yield block

    async def ablocks(self) -> AsyncIterator[bytes]:
        """Yield the same blocks for an async transport."""
        for block in self.blocks():
            yield block


@dataclass(frozen=True)
class Request:
    """One HTTP request.

    Attributes:
        method: The HTTP method.
        path: The path below the service's base address.
        params: Query parameters, in order; a name may occur several times.
        headers: Headers beside those that every request carries.
        body: The body, if there is one.
        repeatable: Whether sending it twice does no more than sending it once, so that it may be sent again after the
            connection broke.
        wait: Seconds for which the server was asked to hold its answer back. They are added to the read timeout.
        within: Seconds after which the caller does not want the answer any more; None leaves it to the settings.
        already: A status that means success after a broken attempt, because that attempt had got through.
    """

    method: str
    path: str
    params: Sequence[tuple[str, str]] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | SpooledBody | None = None
    repeatable: bool = True
    wait: float = 0.0
    within: float | None = None
    already: int | None = None


@dataclass(frozen=True)
class Reply:
    """A complete answer, whatever its status.

    Attributes:
        status: The HTTP status.
        headers: The headers; their names are found in upper or lower case.
        body: The body, decompressed.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Broken:
    """The outcome of a request to which no complete answer came.

    Attributes:
        reason: A message for the user.
        sent: Whether the server may have seen the request.
    """

    reason: str
    sent: bool


@dataclass(frozen=True)
class Pause:
    """A wait between two requests.

    Attributes:
        seconds: How long.
        trouble: Why the request before came to nothing, if it did.
    """

    seconds: float
    trouble: str | None = field(default=None, compare=False)


Outcome = Reply | Broken | None
T = TypeVar("T")
Operation = Generator[Request | Pause, Outcome, T]
