"""What passes between a flow and a shell: a request or a pause one way, an answer or a broken connection the other."""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, TypeVar

JSON = "application/json"
NDJSON = "application/x-ndjson"


@dataclass(frozen=True)
class SpooledBody:
    """A body in a temporary file, `length` bytes long. It can be sent again: both readers start at the beginning."""

    file: IO[bytes]
    length: int

    def blocks(self) -> Iterator[bytes]:
        self.file.seek(0)
        while block := self.file.read(1 << 16):
            yield block

    async def ablocks(self) -> AsyncIterator[bytes]:
        for block in self.blocks():
            yield block


@dataclass(frozen=True)
class Request:
    """One HTTP request.

    repeatable: twice does no more than once, so that a broken connection may be followed by another try.
    wait: seconds the server was asked to hold its answer back, which come on top of the timeout.
    already: a status that, after a broken try, says that the broken try had worked.
    """

    method: str
    path: str
    params: Sequence[tuple[str, str]] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | SpooledBody | None = None
    repeatable: bool = True
    wait: float = 0.0
    already: int | None = None


@dataclass(frozen=True)
class Reply:
    """A whole answer, whatever its status."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Broken:
    """No whole answer came. sent: whether the server may have seen the request."""

    reason: str
    sent: bool


@dataclass(frozen=True)
class Pause:
    seconds: float


Outcome = Reply | Broken | None
T = TypeVar("T")
Flow = Generator[Request | Pause, Outcome, T]
