"""Files that appear whole or not at all, and a lock that ends with its process."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from tokenreward.errors import BadInput


@contextmanager
def replace(path: Path) -> Iterator[IO[bytes]]:
    """Open a file that will stand at `path`, complete and on disk, once the block ends without an exception.

    Until then, and after an exception, `path` is what it was.

    Args:
        path: Where the file will stand.

    Yields:
        A temporary file beside it, to be written.
    """
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
    """Take a lock that ends with its process, however that ends.

    Args:
        path: The lock file.

    Returns:
        The open file, which holds the lock until it is closed.

    Raises:
        BadInput: Another process has the lock.
    """
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
