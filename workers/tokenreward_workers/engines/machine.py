"""What this process may use of the machine."""

from __future__ import annotations

import ctypes
import os
import sys

from tokenreward.vllm_environment import cpus

__all__ = ["bound_memory", "cpus"]

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


def bound_memory() -> None:
    """Keeps a CPU process that computes on ever different shapes from growing. Call it before the first computation.

    oneDNN keeps what it made for each of the last 1,024 shapes, and no two packs have the same shape; one pass needs a
    dozen. glibc keeps freed blocks of up to 32 MiB in its heap, where blocks of other sizes leave holes; from 1 MiB on
    they go back to the system. What the user has set is left alone.
    """
    for name in ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY"):
        os.environ.setdefault(name, "16")
    if not sys.platform.startswith("linux") or any(name.startswith("MALLOC_") for name in os.environ):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, 2**20)
        mallopt(_M_TRIM_THRESHOLD, 32 * 2**20)
