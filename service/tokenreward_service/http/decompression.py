"""Request bodies as they were before compression: gzip or zstd, expanded piece by piece and bounded.

The limit is on the expanded size. An expanded piece has at most some megabytes, whatever the compressed one promises,
and a body that expands more than any dataset does is refused long before it reaches the limit.
"""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Iterator

import zstandard
from fastapi import Request

from tokenreward_service.problems import ProblemError
from tokenreward_service.settings import ServiceSettings

CODINGS = ("gzip", "zstd")

_GZIP_PIECE = 65_536
#: A zstd block of 4 bytes may expand to 128 KiB: this many bytes give at most 8 MiB.
_ZSTD_PIECE = 256
#: The window that a zstd frame may ask us to keep: what levels up to 19 use.
_ZSTD_WINDOW = 2**23
#: A bomb shows itself beyond this size, by a ratio that text does not reach.
_SUSPECT_BYTES = 16 * 2**20
_SUSPECT_RATIO = 200


async def expanded(request: Request, settings: ServiceSettings) -> AsyncIterator[bytes]:
    """Read a request's body, decompressed.

    Yields:
        Pieces of at most 8 MiB.

    Raises:
        ProblemError: 400 if the body is not what its coding says, 413 if it is too large, 415 for an unknown coding.
    """
    coding = request.headers.get("content-encoding", "").strip().lower() or "identity"
    if coding not in (*CODINGS, "identity"):
        raise ProblemError(
            415,
            "Unsupported content coding",
            f"Send {' or '.join(CODINGS)} or nothing as Content-Encoding, not {coding!r}.",
            headers={"Accept-Encoding": ", ".join(CODINGS)},
        )
    _check_declared(request.headers.get("content-length", ""), settings)
    expander = _Gzip() if coding == "gzip" else _Zstd() if coding == "zstd" else _Identity()
    received = size = 0
    try:
        async for chunk in request.stream():
            received += len(chunk)
            for piece in expander.expand(chunk):
                size += len(piece)
                _check_size(size, received, settings)
                yield piece
    except (zlib.error, zstandard.ZstdError) as error:
        raise ProblemError(400, "Malformed body", f"The body is not {coding}: {error}") from None
    if received and not expander.complete:
        raise ProblemError(400, "Malformed body", f"The {coding} body breaks off.")


def _check_declared(length: str, settings: ServiceSettings) -> None:
    if length.isdigit() and int(length[:20]) > settings.max_body_bytes:
        raise _too_large(settings)


def _check_size(size: int, received: int, settings: ServiceSettings) -> None:
    if size > settings.max_body_bytes:
        raise _too_large(settings)
    if size > _SUSPECT_BYTES and size > _SUSPECT_RATIO * received:
        detail = f"The body expands to more than {_SUSPECT_RATIO} times its size; send it uncompressed."
        raise ProblemError(413, "Body too large", detail)


def _too_large(settings: ServiceSettings) -> ProblemError:
    detail = f"The body is larger than {settings.max_body_bytes} bytes when expanded; send several jobs."
    return ProblemError(413, "Body too large", detail)


class _Identity:
    complete = True

    def expand(self, chunk: bytes) -> Iterator[bytes]:
        yield chunk


class _Gzip:
    """One or more gzip members."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(wbits=31)

    @property
    def complete(self) -> bool:
        return self._member.eof

    def expand(self, chunk: bytes) -> Iterator[bytes]:
        while chunk:
            if self._member.eof:
                self._member = zlib.decompressobj(wbits=31)
            yield self._member.decompress(chunk, _GZIP_PIECE)
            chunk = self._member.unused_data if self._member.eof else self._member.unconsumed_tail


class _Zstd:
    """One or more zstd frames."""

    def __init__(self) -> None:
        self._context = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
        self._frame = self._context.decompressobj()

    @property
    def complete(self) -> bool:
        return bool(self._frame.eof)

    def expand(self, chunk: bytes) -> Iterator[bytes]:
        for i in range(0, len(chunk), _ZSTD_PIECE):
            piece = chunk[i : i + _ZSTD_PIECE]
            while piece:
                if self._frame.eof:
                    self._frame = self._context.decompressobj()
                yield self._frame.decompress(piece)
                piece = self._frame.unused_data if self._frame.eof else b""
