"""Behind Sentinels, a job is accepted once the replicas have it: one of them takes over when the primary dies.

Redis copies to its replicas after it has answered. Without this wait, a primary that dies at the wrong moment takes
with it what it had accepted a few milliseconds before.
"""

from __future__ import annotations

from typing import Any

from tokenreward.protocol import keys
from tokenreward_service.problems import unavailable

#: A replica that follows answers within a round trip. One that does not for so long is cut off, or far behind.
_WAIT_MILLISECONDS = 2000


class Replicas:
    """Waits for the replicas of the store.

    Args:
        redis: Async client.
        behind_sentinels: Whether there may be any. If not, nothing is waited for.
    """

    def __init__(self, redis: Any, behind_sentinels: bool) -> None:
        self._redis = redis
        self._used = behind_sentinels

    async def have(self, job_id: str) -> None:
        """Return when as many replicas as the Sentinels see alive have this published job.

        Any of them may be taking over. Sentinels tell the primary ten seconds later, and what only the primary and
        other replicas accept until then is lost. Whether a primary takes work while no replica is alive is the
        operator's choice, `min-replicas-to-write` of the server, which refuses the job before it is written.

        Raises:
            ProblemError: 503, if the job was lost with the primary that had it, or a replica is not known to have it.
            redis.ConnectionError: The Sentinels name no primary.
        """
        if not self._used:
            return
        wanted = await self._redis.connection_pool.replicas()
        connected = (await self._redis.info("replication"))["connected_slaves"]
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.exists(keys.job(job_id))
            # WAIT is about the last write of its own connection, which need not be the one that published the job. A
            # message is replicated like a write, and comes after all that was written before it; it costs no sync of
            # the append-only file, and makes those who watch the job look once more.
            pipe.publish(keys.EVENTS, f"{job_id} 0")
            if 0 < wanted <= connected:
                pipe.wait(wanted, _WAIT_MILLISECONDS)
            there, _, *confirmed = await pipe.execute()
        if not there:
            raise unavailable("The job store changed over to a replica, which has not got this job. Send it again.")
        if confirmed and confirmed[0] < wanted:
            raise unavailable("A replica of the job store has not confirmed this job in time. Send it again.", 5)
        if wanted and not confirmed:
            raise unavailable("The job store may be changing over: a replica does not follow it. Send it again.", 5)
