"""The environment EngineCore is started in: threads, allocator, silence. Ours to set, not the user's.

vLLM reads most of this when it is imported or when its child starts, so it has to be in place before either. What
the user has set already is left alone.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tokenreward_workers.engines.machine import cpus

_ALWAYS = {
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_DO_NOT_TRACK": "1",
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_WORKER_MULTIPROC_METHOD": "spawn",
    "VLLM_ENABLE_V1_MULTIPROCESSING": "1",
    "HF_HUB_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "true",
}


def prepare() -> None:
    """Before vllm is imported: settings that it reads then, and that do no harm to anything else."""
    for name, value in _ALWAYS.items():
        os.environ.setdefault(name, value)


@contextmanager
def for_engine_core(on_cpu: bool) -> Iterator[None]:
    """While EngineCore is started: what only that process should see. The old values come back afterwards."""
    wanted = {"PYTHONWARNINGS": "ignore", "TORCH_CPP_LOG_LEVEL": "ERROR"} | (_cpu_settings() if on_cpu else {})
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update({name: value for name, value in wanted.items() if before[name] is None})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)


def _cpu_settings() -> dict[str, str]:
    mine = cpus()
    settings = {
        "OMP_NUM_THREADS": str(len(mine)),
        "THP_MEM_ALLOC_ENABLE": "1",  # huge pages for the logits: otherwise a page fault every 4 KiB of them
    }
    openmp = Path(sys.prefix) / "lib" / "libiomp5.so"
    if openmp.is_file():
        # Intel's OpenMP, as vLLM's documentation asks for; a thread that waits must soon leave its core to others.
        settings |= {
            "LD_PRELOAD": str(openmp),
            "KMP_AFFINITY": f"granularity=fine,explicit,proclist=[{','.join(map(str, mine))}]",
            "KMP_BLOCKTIME": "5",
            "KMP_TPAUSE": "0",
        }
    return settings
