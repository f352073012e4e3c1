"""TODO: what this module owns."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

from tokenreward.errors import BadInput

if TYPE_CHECKING:
    pass


@contextmanager
def replace(path: Path) -> Iterator[IO[bytes]]:
    """A file that stands at `path`, whole and on disk, once the block ends well, and not at all before."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def locked(path: Path) -> IO[bytes]:
    """A lock that ends with its process, however that ends."""
    file = path.open("ab")
    with contextlib.suppress(ImportError):  # no fcntl on Windows: there, two runs at once are the user's to avoid
        import fcntl

        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            raise BadInput(f"another run of tokenreward is working on this output (lock {path})") from None
    os.utime(path)
    return file
