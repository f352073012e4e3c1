"""What a worker says of itself: its record in the job store, and a warning when its engine does work twice."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Callable

from tokenreward.protocol.worker_records import Comparison, WorkerRecord
from tokenreward_workers.engines.base import EngineStats
from tokenreward_workers.process.startup import Loaded
from tokenreward_workers.shards.pipeline import Pipeline

log = logging.getLogger(__name__)

#: A share of branches scored twice that says that something is wrong, and from how many branches on it is believed.
_RESCORED_SHARE, _RESCORED_BRANCHES = 0.05, 200


def reporter(
    worker_id: str, started: float, loaded: Loaded, pipeline: Pipeline, comparison: Comparison | None = None
) -> Callable[[], WorkerRecord]:
    """Return a function that makes the worker's record of the moment.

    Args:
        worker_id: The worker's name.
        started: When it started, in Unix seconds.
        loaded: What it serves, and with what.
        pipeline: Its pipeline.
        comparison: How its probe compared with that of another worker like it.
    """
    warning = RescoringWarning()
    engine, identity = loaded.engine, loaded.fingerprint

    def record() -> WorkerRecord:
        warning.look(engine.stats)
        done, stats = pipeline.throughput, engine.stats
        return WorkerRecord(
            id=worker_id,
            host=socket.gethostname(),
            pid=os.getpid(),
            fingerprint_digest=identity.digest,
            model=identity.model,
            engine=identity.engine,
            started=started,
            seen=time.time(),
            shards=pipeline.held.ids,
            shards_done=done.shards,
            items_done=done.items,
            tokens=done.tokens,
            tokens_per_second=done.tokens_per_second,
            busy_seconds=done.busy_seconds,
            busy_share=done.busy_share,
            cache_hits=done.cache_hits,
            engine_restarts=stats.restarts,
            computed_tokens=stats.computed_tokens,
            cached_tokens=stats.cached_tokens,
            branches=stats.branches,
            rescored_branches=stats.rescored,
            steps=stats.steps,
            preemptions=stats.preemptions,
            prefix_hit_share=prefix_hit_share(stats),
            adapters=list(engine.adapters),
            max_adapters=loaded.max_adapters,
            comparison=comparison,
            flops_utilisation=flops_utilisation(loaded.flops_per_token, engine.info.peak_flops, stats),
        )

    return record


def prefix_hit_share(stats: EngineStats) -> float | None:
    """Return the share of tokens that the prefix cache saved the engine from reading; None before there are any."""
    read = stats.cached_tokens + stats.computed_tokens
    return stats.cached_tokens / read if read else None


def flops_utilisation(flops_per_token: float | None, peak_flops: float | None, stats: EngineStats) -> float | None:
    """Return the share of the hardware's peak that the computed tokens took while the engine was busy.

    None where the model's operations per token or the hardware's peak are not known.
    """
    if not flops_per_token or not peak_flops or not stats.busy_seconds:
        return None
    return stats.computed_tokens * flops_per_token / (stats.busy_seconds * peak_flops)


class RescoringWarning:
    """Warns, once, when an engine scores many branches a second time: nothing is wrong then but its speed."""

    def __init__(self) -> None:
        self._said = False

    def look(self, stats: EngineStats) -> None:
        """Warn if it is time to."""
        if self._said or stats.branches < _RESCORED_BRANCHES:
            return
        if stats.rescored > _RESCORED_SHARE * stats.branches:
            self._said = True
            log.warning(
                "%d of %d branches were scored twice, because some of their rows had not been computed: "
                "see docs/performance.md",
                *(stats.rescored, stats.branches),
            )
