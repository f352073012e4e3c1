"""The environment EngineCore is started in: threads, allocator, silence. Ours to set, not the user's.

vLLM reads most of this when it is imported or when its child starts, so it has to be in place before either. What
the user has set already is left alone.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from tokenreward.vllm_environment import QUIET, cpu_settings

_ALWAYS = QUIET | {
    "VLLM_WORKER_MULTIPROC_METHOD": "spawn",
    "VLLM_ENABLE_V1_MULTIPROCESSING": "1",
    "VLLM_USE_FLASHINFER_SAMPLER": "0",  # it needs nvcc (vllm-project/vllm#49497), and nothing is sampled here
}


def prepare() -> None:
    """Before vllm is imported: settings that it reads then, and that do no harm to anything else."""
    for name, value in _ALWAYS.items():
        os.environ.setdefault(name, value)


@contextmanager
def for_engine_core(on_cpu: bool) -> Iterator[None]:
    """While EngineCore is started: what only that process should see. The old values come back afterwards."""
    wanted = {"PYTHONWARNINGS": "ignore", "TORCH_CPP_LOG_LEVEL": "ERROR"} | (cpu_settings() if on_cpu else {})
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update({name: value for name, value in wanted.items() if before[name] is None})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
