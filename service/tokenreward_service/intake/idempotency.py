"""`Idempotency-Key`: the same request twice makes one job.

A key belongs to the caller's API key and lives as long as the job. While the first request is under way, a second gets
409; the same content later gets the same job; other content gets 422. What is compared is the sha256 of media type,
options and decompressed body.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from typing import Any

from tokenreward.protocol import keys
from tokenreward_service.problems import ProblemError

#: A pending record expires after this many seconds, so that a crash does not block its key. Its request renews it.
_PENDING_SECONDS = 20
_PENDING = b"pending"


class IdempotentRequest:
    """One request with a key: `claim` it, read its body through `hashing`, `release` it at the end.

    Args:
        redis: Async client.
        owner: Whose key it is.
        key: The Idempotency-Key.
        described: Media type and options, which must be the same in a repetition.

    Attributes:
        record: The Redis key that holds what is known of the request.
    """

    def __init__(self, redis: Any, owner: str, key: str, described: str) -> None:
        self._redis = redis
        self.record = keys.idempotency(owner, hashlib.sha256(key.encode()).hexdigest())
        self._hash = hashlib.sha256(described.encode() + b"\0")
        self._renewing: asyncio.Task[None] | None = None
        self._settling = False

    async def claim(self) -> bytes | None:
        """Make the request ours to carry out.

        Returns:
            None if it is ours; otherwise what an earlier request left, for `same_job`.

        Raises:
            ProblemError: 409, while the earlier request is under way.
        """
        if await self._redis.set(self.record, _PENDING, nx=True, ex=_PENDING_SECONDS):
            self._renewing = asyncio.create_task(self._renew())
            return None
        left: bytes | None = await self._redis.get(self.record)
        if left is None:
            return await self.claim()
        if left == _PENDING:
            raise ProblemError(
                409,
                "Request under way",
                "A request with this Idempotency-Key is still being read; ask again.",
                headers={"Retry-After": "1"},
            )
        job_id = left.partition(b" ")[2].decode("ascii", "replace")
        if not await self._redis.exists(keys.job(job_id)):  # the job is gone, and its key with it
            await self._redis.delete(self.record)
            return await self.claim()
        return left

    async def hashing(self, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The body as it is; it becomes part of what a repetition is compared with."""
        async for chunk in body:
            self._hash.update(chunk)
            yield chunk

    def settled(self, job_id: str) -> bytes:
        """What to leave for the next request, in the transaction that publishes the job."""
        self._settling = True
        if self._renewing is not None:
            self._renewing.cancel()
        return f"{self._hash.hexdigest()} {job_id}".encode()

    def same_job(self, left: bytes) -> str:
        """The id of the earlier request's job, once the whole body went through `hashing`.

        Raises:
            ProblemError: 422, if this request has another body or other options.
        """
        digest, _, job_id = left.partition(b" ")
        if digest.decode("ascii", "replace") != self._hash.hexdigest():
            raise ProblemError(422, "Idempotency-Key reused", "This key was used with another body or other options.")
        return job_id.decode("ascii", "replace")

    async def release(self) -> None:
        """End the request. Its key is free again, unless the request came to the point of publishing a job."""
        if self._renewing is None:
            return
        self._renewing.cancel()
        await asyncio.gather(self._renewing, return_exceptions=True)
        if not self._settling:  # else the record is the job's, or (should publishing have failed) expires in seconds
            await self._redis.delete(self.record)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(_PENDING_SECONDS / 3)
            # Only what still expires, so that a record which meanwhile became the job's is left alone.
            await self._redis.expire(self.record, _PENDING_SECONDS, xx=True)
