"""What a stack uses while something is measured: processor time, and how long its Redis waits for the disk."""

from __future__ import annotations

import time

import psutil

from benchmarks.harness.stack import Stack


class Usage:
    """Counts from when it is made. pids: name -> process, beside those of the API and of Redis."""

    def __init__(self, stack: Stack, **pids: int) -> None:
        assert stack.api is not None
        assert stack.valkey is not None
        self._redis = stack.redis
        self._pids = {"api": stack.api.pid, "redis": stack.valkey.pid, **pids}
        self._before = self._counters()

    def shares(self) -> dict[str, float]:
        """`NAME_cores` of each process, and `redis_syncing`: the share of time in which Redis waits for its disk."""
        before, now = self._before, self._counters()
        seconds = now.pop("at") - before["at"]
        return {name: (count - before[name]) / seconds for name, count in now.items()}

    def _counters(self) -> dict[str, float]:
        counters = {f"{name}_cores": _cpu(pid) for name, pid in self._pids.items()}
        # While it syncs its append-only file, Redis' one thread does nothing else.
        counters["redis_syncing"] = self._redis.info("debug")["eventloop_duration_aof_sum"] / 1e6
        return counters | {"at": time.monotonic()}


def _cpu(pid: int) -> float:
    """Processor seconds so far."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)
