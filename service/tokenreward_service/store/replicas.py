"""Behind Sentinels, a job is accepted once the replicas have it: one of them takes over when the primary dies.

Redis copies to its replicas after it has answered. Without this wait, a primary that dies at the wrong moment takes
with it what it had accepted a few milliseconds before.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from tokenreward.protocol import keys
from tokenreward.protocol.sentinels import Address
from tokenreward_service.problems import unavailable

log = logging.getLogger(__name__)

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
        """Return when every replica that may take over has this published job.

        Any of those that the Sentinels see alive may be taking over. They tell the primary ten seconds later, and what
        only the primary and other replicas accept until then is lost. Whether a primary takes work while no replica is
        alive is the operator's choice, `min-replicas-to-write` of the server, which refuses the job before it is
        written.

        Raises:
            ProblemError: 503, if the job was lost with the primary that had it, or a replica is not known to have it.
            redis.ConnectionError: The Sentinels name no primary.
        """
        if not self._used:
            return
        replicas = await self._redis.connection_pool.replicas()
        info = await self._redis.info("replication")
        following = _following(info)
        if info["role"] != "master" or not replicas <= following:
            log.warning("job %s is refused: the primary has replicas %s, the Sentinels %s", job_id, following, replicas)
            raise unavailable("The job store may be changing over: a replica does not follow it. Send it again.", 5)
        # WAIT counts replicas and does not name them. If others were first, all are waited for.
        for count in sorted({len(replicas), info["connected_slaves"]}):
            async with self._redis.pipeline(transaction=False) as pipe:
                pipe.exists(keys.job(job_id))
                # WAIT is about the last write of its own connection, which need not be the one that published the job.
                # A message is replicated like a write, and comes after all that was written before it; it costs no sync
                # of the append-only file, and makes those who watch the job look once more.
                pipe.publish(keys.EVENTS, f"{job_id} 0")
                pipe.info("replication")
                if count:
                    pipe.wait(count, _WAIT_MILLISECONDS)
                pipe.info("replication")
                there, _, written, *_, confirmed = await pipe.execute()
            if not there:
                raise unavailable("The job store changed over to a replica, which has not got this job. Send it again.")
            if replicas <= _following(confirmed, written["master_repl_offset"]):
                return
        raise unavailable("A replica of the job store has not confirmed this job in time. Send it again.", 5)


def _following(info: Mapping[str, Any], offset: int = 0) -> set[Address]:
    """Return where the replicas are that have confirmed what was written up to an offset, by INFO of their primary."""
    slaves = [info.get(f"slave{number}", {}) for number in range(info["connected_slaves"])]
    return {(str(one["ip"]), one["port"]) for one in slaves if one.get("state") == "online" and one["offset"] >= offset}
