"""Where payloads are kept: small ones in Redis, large ones in a blob store, with a reference to them in Redis.

A stored payload is one tag byte, and then either the payload itself or the path of the file that holds it.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator
from typing import Any

from tokenreward.errors import BadInput, TokenRewardError
from tokenreward.protocol import keys
from tokenreward.protocol.records import Corrupt

_INLINE, _SPILLED = b"i", b"s"
#: Tells a place that has lost its payloads from one that is not mounted.
_MARK = "tokenreward-payloads"
_UNMARKED = f"the blob store has no file {_MARK}: is it mounted?"


class BlobsAway(TokenRewardError, OSError):
    """The blob store does not answer, or not as it should. A later try may succeed."""


class NoBlobStore(BadInput, OSError):
    """A payload is in a blob store, and none is configured here."""


class Spill:
    """The rule and the place for large payloads.

    A blob is written once, under a name of its own, and never changed, so no lock is needed. Anything else in that
    place, such as another deployment's payloads, is left alone: Redis knows which jobs have something there.
    """

    def __init__(self, url: str | None, threshold: int) -> None:
        """Open the blob store.

        Args:
            url: Any fsspec URL. None keeps everything in Redis.
            threshold: Payloads of at least so many bytes go to the blob store.

        Raises:
            BadInput: The URL cannot be used.
        """
        self._threshold = threshold
        self._fs: Any = None
        self._root = ""
        if url is not None:
            import fsspec

            try:
                self._fs, self._root = fsspec.core.url_to_fs(url)
                self._fs.makedirs(self._root, exist_ok=True)
            except (ImportError, OSError, ValueError) as error:
                raise BadInput(f"TOKENREWARD_BLOB_URL cannot be used: {error}") from error

    @property
    def used(self) -> bool:
        """Whether there is a blob store."""
        return self._fs is not None

    def store(self, job_id: str, data: bytes, redis: Any) -> bytes:
        """Store a payload.

        Args:
            job_id: The job it belongs to.
            data: The payload.
            redis: A sync client. It learns of the job before anything is written, so that the sweep finds it in any
                case.

        Returns:
            What to put into Redis.

        Raises:
            BlobsAway: The blob store cannot be used now.
        """
        if self._fs is None or len(data) < self._threshold:
            return _INLINE + data
        path = f"{job_id}/{uuid.uuid4().hex}.arrow"
        with _blob_store_errors():
            self._claim_place(redis)
            redis.sadd(keys.SPILLED, job_id)
            self._fs.makedirs(f"{self._root}/{job_id}", exist_ok=True)
            self._fs.pipe_file(f"{self._root}/{path}", data)
        return _SPILLED + path.encode()

    def load(self, stored: bytes) -> bytes:
        """Return the payload behind what Redis held.

        Raises:
            Corrupt: The reference is broken, or the blob is gone.
            BlobsAway: The blob store cannot be used now.
            NoBlobStore: There is no blob store.
        """
        tag, rest = stored[:1], stored[1:]
        if tag == _INLINE:
            return rest
        path = rest.decode("utf-8", "replace")
        parts = path.split("/")
        # A forged reference must not lead out of the directory.
        if tag != _SPILLED or len(parts) != 2 or not all(p.replace(".", "").isalnum() for p in parts):
            raise Corrupt("a blob reference in Redis cannot be followed")
        if self._fs is None:
            raise NoBlobStore("a payload was spilled: set TOKENREWARD_BLOB_URL to what the service has")
        with _blob_store_errors():
            try:
                data: bytes = self._fs.cat_file(f"{self._root}/{path}")
            except FileNotFoundError as error:
                if not self._fs.exists(f"{self._root}/{_MARK}"):
                    raise BlobsAway(_UNMARKED) from error
                raise Corrupt(f"the spilled blob {path} is gone") from error
        return data

    def forget(self, job_id: str) -> None:
        """Remove everything spilled for a job. Raises BlobsAway."""
        # A forged id must not remove anything else.
        if self._fs is None or not keys.is_job_id(job_id):
            return
        with _blob_store_errors():
            if self._fs.exists(f"{self._root}/{job_id}"):
                self._fs.rm(f"{self._root}/{job_id}", recursive=True)
            elif not self._fs.exists(f"{self._root}/{_MARK}"):
                raise BlobsAway(_UNMARKED)

    def _claim_place(self, redis: Any) -> None:
        """Mark the place as ours, once. Raises BlobsAway where a mark that must be there is not: a mount is missing."""
        mark = f"{self._root}/{_MARK}"
        if not self._fs.exists(mark):
            names = [name.decode("utf-8", "replace") for name in redis.srandmember(keys.SPILLED, 16)]
            known = [name for name in names if keys.is_job_id(name)]
            if known and not any(self._fs.exists(f"{self._root}/{name}") for name in known):
                raise BlobsAway(_UNMARKED)
            self._fs.pipe_file(mark, b"Payloads of tokenreward. This file tells that the right place is mounted.\n")


def spilled(stored: bytes) -> bool:
    """Return whether what Redis is to hold is a reference only."""
    return stored[:1] == _SPILLED


@contextlib.contextmanager
def _blob_store_errors() -> Iterator[None]:
    """Turn the blob store's errors, within the block, into BlobsAway."""
    try:
        yield
    except OSError as error:
        raise BlobsAway(f"the blob store cannot be used: {error}") from error
