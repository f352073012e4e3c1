"""Files that are compressed as a whole: gzip (.gz) and zstd (.zst)."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

from tokenreward.errors import BadInput
from tokenreward.extras import needs

#: The suffixes of compressed files.
COMPRESSIONS = (".gz", ".zst")


def decompressing(path: Path) -> IO[bytes]:
    """Open a compressed file for reading.

    Raises:
        BadInput: It is of zstd, and the library for that is not installed.
    """
    if path.suffix == ".gz":
        return cast(IO[bytes], gzip.open(path, "rb"))
    with needs("files", f"{path.name}: zstd"):
        import zstandard
    reader = zstandard.ZstdDecompressor().stream_reader(path.open("rb"), read_across_frames=True)
    return io.BufferedReader(reader)


@contextmanager
def readable_bytes(name: str) -> Iterator[None]:
    """Turn errors of decompression, within the block, into BadInput with the name of the input."""
    try:
        yield
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise BadInput(f"{name}: cannot be decompressed ({error})") from None
    except Exception as error:
        if type(error).__name__ != "ZstdError":  # only whoever reads zstd has imported its library
            raise
        raise BadInput(f"{name}: cannot be decompressed ({error})") from None


@contextmanager
def compressing(path: Path, file: IO[bytes]) -> Iterator[IO[bytes]]:
    """Yield what compresses into `file`, if the suffix of `path` asks for it; else `file` itself."""
    if path.suffix == ".gz":
        with gzip.GzipFile(fileobj=file, mode="wb", mtime=0, filename="") as whole:
            yield cast(IO[bytes], whole)
    elif path.suffix == ".zst":
        with needs("files", f"{path.name}: zstd"):
            import zstandard
        writer: Any
        with zstandard.ZstdCompressor().stream_writer(file, closefd=False) as writer:
            yield writer
    else:
        yield file
