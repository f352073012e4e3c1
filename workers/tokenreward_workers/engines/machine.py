"""What this process may use of the machine."""

from __future__ import annotations

from tokenreward._vllm import cpus

__all__ = ["cpus"]
