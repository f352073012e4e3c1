"""How many CPUs this process may use, and sharing them with others: before torch is imported.

A container may have two CPUs of a machine with sixty-four, and torch would start as many threads as the machine has.
Threads that wait for each other by spinning take the CPUs from whatever else runs, and then wait all the longer.
"""

from __future__ import annotations

import math
import os
from collections.abc import MutableMapping
from pathlib import Path

_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def cpu_share(quota: Path = _QUOTA) -> int:
    """Return the number of CPUs that this process may use: those it may run on, within its container's quota.

    Args:
        quota: The file with the quota, in cgroup's second version.
    """
    mine = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        most, period = quota.read_text().split()
        return max(1, min(mine, math.ceil(int(most) / int(period))))
    except (OSError, ValueError):  # no container, or `max`
        return mine


def share_cpus(environment: MutableMapping[str, str] = os.environ) -> None:
    """Have torch use no more threads than this process has CPUs, and none of them spin. What is set already stays.

    Args:
        environment: Where OpenMP reads its settings when it is loaded.
    """
    environment.setdefault("OMP_NUM_THREADS", str(cpu_share()))
    environment.setdefault("OMP_WAIT_POLICY", "PASSIVE")
