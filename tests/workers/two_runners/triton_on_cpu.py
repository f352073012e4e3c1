"""Lets vLLM's CPU build take its V2 model runner: Triton kernels then run in Triton's interpreter.

vLLM takes V2 only where Triton has a driver. The interpreter needs none, so one that is not active will do. Import
this before vLLM, with TRITON_INTERPRET=1 in the environment. Small models only: the interpreter is slow.
"""

from __future__ import annotations

import torch
import triton.backends
from triton.backends.compiler import GPUTarget


class _Driver:
    @staticmethod
    def is_active() -> bool:
        return False

    def get_current_device(self) -> str:
        return "cpu"

    def get_current_target(self) -> GPUTarget:
        return GPUTarget("cpu", 0, 32)

    def get_active_torch_device(self) -> torch.device:
        return torch.device("cpu")


triton.backends.backends["cpu"] = triton.backends.Backend(compiler=None, driver=_Driver)
