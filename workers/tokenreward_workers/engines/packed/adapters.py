"""LoRA adapters of the transformers engine: several of them in one pass, each on its own stretch of the pack.

PEFT puts its layers into the model once for each adapter and holds the matrices. Its own forward pass applies one set
of adapters to everything, so the layers get a forward pass that reads from the pack which tokens are whose: the base is
multiplied once for all of them.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection
from functools import cached_property
from typing import Any

import torch

from tokenreward.checkpoint.adapter import WEIGHTS, AdapterFiles, check_fit, read_adapter
from tokenreward.checkpoint.loading import in_one_line
from tokenreward.errors import BadInput
from tokenreward_workers.engines.linears import linears_of_model
from tokenreward_workers.engines.packed.attention import current
from tokenreward_workers.scoring import Adapter


class Adapters:
    """The adapters that a model holds. They are used from the engine's thread.

    Attributes:
        versions: What it holds, the most recently used last. Any thread may read it.
    """

    def __init__(self, model: Any, most: int) -> None:
        """Hold none yet.

        Args:
            model: From `loading.load_model`.
            most: How many are kept; the one that was not used for longest goes first.
        """
        self._model = model
        self._most = most
        self._held: OrderedDict[str, AdapterFiles] = OrderedDict()
        self.versions: list[str] = []

    def use(self, wanted: Collection[Adapter]) -> dict[Adapter, str]:
        """Load what a pass needs, and let go of others if there are too many.

        Args:
            wanted: The adapters of the pass. All of them are held afterwards, even if they are more than `most`.

        Returns:
            Why each of those that cannot be used cannot be.
        """
        failed: dict[Adapter, str] = {}
        for adapter in sorted(wanted):
            if adapter.version in self._held:
                self._held.move_to_end(adapter.version)
                continue
            try:
                with in_one_line(f"adapter version {adapter.version}"):
                    self._load(adapter)
            except BadInput as error:
                failed[adapter] = str(error)
        keep = {adapter.version for adapter in wanted}
        spare = max(0, len(self._held) - self._most)
        for version in [version for version in self._held if version not in keep][:spare]:
            self._release(version)
        self.versions = list(self._held)
        return failed

    @cached_property
    def _linears(self) -> Any:
        return linears_of_model(self._model)

    def _load(self, adapter: Adapter) -> None:
        import peft
        from safetensors.torch import load_file

        files = read_adapter(adapter.folder)
        check_fit(files, self._linears, "the served model")
        tensors = {key.replace(".default.", "."): value for key, value in load_file(adapter.folder / WEIGHTS).items()}
        config = peft.LoraConfig(r=files.rank, target_modules=list(files.layers), inference_mode=True)
        peft.inject_adapter_in_model(config, self._model, adapter.version, low_cpu_mem_usage=True)
        for name, shape in files.layers.items():
            layer = self._model.get_submodule(name)
            weight = layer.get_base_layer().weight
            kind = weight.dtype if weight.is_floating_point() else self._model.dtype
            for part, matrices in (("A", layer.lora_A), ("B", layer.lora_B)):
                matrix = tensors[f"base_model.model.{name}.lora_{part}.weight"].to(weight.device, kind)
                matrices[adapter.version].weight = torch.nn.Parameter(matrix, requires_grad=False)
            layer.scaling[adapter.version] = shape.scale
            layer.forward = _forward_of(layer)
        self._held[adapter.version] = files

    def _release(self, version: str) -> None:
        for name in self._held.pop(version).layers:
            self._model.get_submodule(name).delete_adapter(version)


def _forward_of(layer: Any) -> Any:
    def forward(states: torch.Tensor, *others: Any, **named: Any) -> torch.Tensor:
        out: torch.Tensor = layer.base_layer(states, *others, **named)
        layout = current()
        if layout is None:  # a pass without a pack is the model's own
            return out
        first, last = layout.offset, layout.offset + states.shape[-2]
        for stretch in layout.pack.stretches:
            start, end = max(stretch.start, first) - first, min(stretch.end, last) - first
            version = stretch.adapter.version
            if start < end and version in layer.lora_A:
                narrow = layer.lora_A[version](states[..., start:end, :])
                out[..., start:end, :] += layer.lora_B[version](narrow) * layer.scaling[version]
        return out

    return forward
