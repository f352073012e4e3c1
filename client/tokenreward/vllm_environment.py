"""The environment for a process that runs vLLM: threads, allocator, silence.

vLLM reads most of this when it is imported, and the dynamic linker when the process starts. Worker and trainer both
start such processes and may not import each other, so these facts are here. Nothing here imports vLLM or torch.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

#: Variables that vLLM reads when it is imported, and that harm nothing else.
QUIET = {
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_DO_NOT_TRACK": "1",
    "VLLM_LOGGING_LEVEL": "ERROR",
    "HF_HUB_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "true",
    # FlashInfer's sampler is compiled when it is first called, which needs nvcc (vllm#49497).
    "VLLM_USE_FLASHINFER_SAMPLER": "0",
}


def cpus() -> list[int]:
    """Return the CPUs on which this process may run."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def cpu_settings() -> dict[str, str]:
    """Return the variables for a process that computes on a CPU.

    Without them vLLM runs on one thread, at about half the speed.
    """
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
