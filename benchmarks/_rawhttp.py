"""HTTP/1.1 over asyncio streams and nothing else: a load generator that leaves the processor to what it measures."""

from __future__ import annotations

import asyncio
import contextlib
from urllib.parse import urlsplit


class Connection:
    """One keep-alive connection. A broken one raises OSError (or asyncio.IncompleteReadError) and is done."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str) -> None:
        self._reader = reader
        self._writer = writer
        self._host = host

    @classmethod
    async def open(cls, url: str) -> Connection:
        parts = urlsplit(url)
        assert parts.hostname is not None
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        return cls(reader, writer, parts.netloc)

    async def post(self, path: str, body: bytes) -> tuple[int, bytes]:
        """(status, body) of a JSON request."""
        head = f"POST {path} HTTP/1.1\r\nHost: {self._host}\r\nContent-Type: application/json\r\n"
        self._writer.write(head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        await self._writer.drain()
        head_lines = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        status = int(head_lines[9:12])
        _, _, length = head_lines.partition(b"content-length: ")
        return status, await self._reader.readexactly(int(length.split(b"\r\n", 1)[0]))

    def close(self) -> None:
        self._writer.close()


class Pool:
    """Connections that are opened when all others are in use, up to `most`; beyond that a request waits for one."""

    def __init__(self, url: str, most: int) -> None:
        self._url = url
        self._idle: list[Connection] = []
        self._room = asyncio.Semaphore(most)

    async def post(self, path: str, body: bytes) -> int:
        """The status; 0 if the connection broke or could not be made."""
        async with self._room:
            try:
                connection = self._idle.pop() if self._idle else await Connection.open(self._url)
                status, _ = await connection.post(path, body)
            except (OSError, EOFError, ValueError):
                return 0
            self._idle.append(connection)
            return status

    def close(self) -> None:
        for connection in self._idle:
            with contextlib.suppress(OSError):
                connection.close()
