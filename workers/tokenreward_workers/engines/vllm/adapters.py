"""Adapters in vLLM: which ones EngineCore has, and what a request says so that it is scored by one of them.

vLLM loads an adapter when the first request names it, and EngineCore ends if it cannot. So each is loaded by a call of
its own first, whose failure comes back to us. vLLM keeps `max_cpu_loras` of them in memory, and `max_loras` in the
layers, and its prefix cache tells them apart by name and path.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

from tokenreward.checkpoint.adapter import check_fit, read_adapter
from tokenreward.checkpoint.loading import first_line
from tokenreward.errors import BadInput
from tokenreward_workers.engines.linears import Linears, linears_of_folder
from tokenreward_workers.engines.vllm.settings import VllmSettings
from tokenreward_workers.scoring import Adapter

#: Adapters in the CPU's memory for each one that a step may have.
_KEPT_PER_SLOT = 4
#: What vLLM takes as the largest rank.
_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)


def lora_arguments(path: Path, settings: VllmSettings) -> dict[str, Any]:
    """Return what vLLM's engine has to be told; nothing for a model without adapters.

    Raises:
        BadInput: The model takes no adapters, or the rank is beyond what vLLM can do.
    """
    if not settings.max_adapters:
        return {}
    rank = next((rank for rank in _RANKS if rank >= settings.max_adapter_rank), None)
    if rank is None:
        raise BadInput(f"max_adapter_rank is {settings.max_adapter_rank}, and vLLM takes at most {_RANKS[-1]}")
    return {
        "enable_lora": True,
        "max_loras": settings.max_adapters,
        "max_cpu_loras": settings.max_adapters * _KEPT_PER_SLOT,
        "max_lora_rank": rank,
        # Without a list it also wraps the LM head, whose adapter code takes the rows of a prompt for sampled ones.
        "lora_target_modules": sorted({name.rpartition(".")[2] for name in linears_of_folder(path)}),
    }


class Adapters:
    """The adapters that EngineCore has been given, by version. They are used from the engine's thread.

    Attributes:
        versions: What EngineCore holds, the most recently used last. Any thread may read it.
    """

    def __init__(self, path: Path, settings: VllmSettings) -> None:
        self._path = path
        self._settings = settings
        self._numbers: dict[str, int] = {}
        self._held: OrderedDict[str, None] = OrderedDict()
        self.versions: list[str] = []

    def forget(self) -> None:
        """EngineCore is another one now, and holds none."""
        self._held.clear()
        self.versions = []

    def request(self, adapter: Adapter, load: Callable[[Any], object]) -> Any:
        """Return vLLM's `LoRARequest` of an adapter, which EngineCore holds then.

        Args:
            adapter: The adapter.
            load: Loads one into EngineCore; raises if it cannot.

        Raises:
            BadInput: It cannot be loaded. (What says that EngineCore is gone goes through.)
        """
        from vllm.lora.request import LoRARequest

        number = self._numbers.setdefault(adapter.version, len(self._numbers) + 1)
        lora = LoRARequest(adapter.version, number, str(adapter.folder))
        if adapter.version not in self._held:
            self._check(adapter)
            load(lora)
        self._held[adapter.version] = None
        self._held.move_to_end(adapter.version)
        while len(self._held) > self._settings.max_adapters * _KEPT_PER_SLOT:
            self._held.popitem(last=False)
        self.versions = list(self._held)
        return lora

    @cached_property
    def _linears(self) -> Linears:
        return linears_of_folder(self._path)

    def _check(self, adapter: Adapter) -> None:
        if not self._settings.max_adapters:
            raise BadInput("this worker's vLLM was started without adapters: give it --max-adapters")
        files = read_adapter(adapter.folder)
        check_fit(files, self._linears, "the served model")
        if files.rank > self._settings.max_adapter_rank:
            raise BadInput(
                f"adapter version {adapter.version} has rank {files.rank}, and this worker takes up to "
                f"{self._settings.max_adapter_rank}: start it with --max-adapter-rank {files.rank}"
            )


def refusal(adapter: Adapter, error: Exception) -> str:
    """What to tell a user whose adapter EngineCore refuses."""
    return str(error) if isinstance(error, BadInput) else f"adapter version {adapter.version}: {first_line(error)}"
