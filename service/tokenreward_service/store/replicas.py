"""Behind Sentinels, a job is accepted once a replica has it: the replica takes over when the primary dies.

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
        """Return when a replica has this published job, or at once if none is alive.

        A replica that is alive and does not follow this primary may be taking over from it, which the primary is told
        ten seconds later: what it accepts until then is lost. Whether a primary takes work while no replica is alive is
        the operator's choice, `min-replicas-to-write` of the server, which refuses the job before it is written.

        Raises:
            ProblemError: 503, if the job was lost with the primary that had it, or no replica has it though one lives.
        """
        if not self._used:
            return
        replication = await self._redis.info("replication")
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.exists(keys.job(job_id))
            # WAIT is about the last write of its own connection, which need not be the one that published the job. A
            # message is replicated like a write, and comes after all that was written before it; it costs no sync of
            # the append-only file, and makes those who watch the job look once more.
            pipe.publish(keys.EVENTS, f"{job_id} 0")
            if replication["connected_slaves"]:
                pipe.wait(1, _WAIT_MILLISECONDS)
            there, _, *replicas = await pipe.execute()
        if not there:
            raise unavailable("The job store changed over to a replica, which has not got this job. Send it again.")
        if replicas == [0]:
            raise unavailable("No replica of the job store has confirmed this job in time. Send it again.", 5)
        if not replicas and await self._redis.connection_pool.live_replicas():
            raise unavailable("The job store may be changing over: a replica does not follow it. Send it again.", 5)
