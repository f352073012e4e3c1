"""What runs inside vLLM's EngineCore process: its executor, which binds that process to its parent and its cache to us.

vLLM leaves EngineCore, and the GPU memory it holds, behind when its parent is killed (vllm-project/vllm#55510).
An executor of one's own is vLLM's extension point that runs in that process, before any weight is loaded. To be
removed when EngineCore watches its parent itself.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys

from vllm.v1.executor.multiproc_executor import MultiprocExecutor
from vllm.v1.executor.uniproc_executor import UniProcExecutor

from tokenreward_workers.engines.vllm.cache_bound import bound_cache_hits
from tokenreward_workers.engines.vllm.cpu_adapters import skip_tokens_without_adapter

_PR_SET_PDEATHSIG = 1


class ScoringExecutor(UniProcExecutor):  # type: ignore[misc]
    """One worker, in EngineCore's own process: no second process to feed, and none that polls for work."""

    def _init_executor(self) -> None:
        die_with_parent()
        bound_cache_hits()
        skip_tokens_without_adapter()
        super()._init_executor()


class ParallelScoringExecutor(MultiprocExecutor):  # type: ignore[misc]
    """A process for each GPU of a tensor-parallel engine; they end with EngineCore, by vLLM's own death pipe."""

    def _init_executor(self) -> None:
        die_with_parent()
        bound_cache_hits()
        super()._init_executor()


def die_with_parent() -> None:
    """From now on the kernel kills this process when the thread that started it ends. Linux only; else nothing."""
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    parent = multiprocessing.parent_process()
    if parent is not None and parent.pid != os.getppid():  # it died before we asked
        os.kill(os.getpid(), signal.SIGKILL)
