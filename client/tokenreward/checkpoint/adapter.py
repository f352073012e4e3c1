"""What can be said of an adapter's folder without torch: its kind, what it changes, and the hash of its content.

Only LoRA is taken, in the form that PEFT saves and every engine computes alike: y = W x + s B A x, with nothing else
changed. What an engine would leave out or compute in another way is refused by its name.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenreward.checkpoint.folder import ADAPTER_FILES
from tokenreward.checkpoint.json_files import is_lfs_pointer, lfs_pointer, read_object
from tokenreward.checkpoint.safetensors_file import Tensor, read_header
from tokenreward.errors import BadInput

CONFIG, WEIGHTS = ADAPTER_FILES[0], ADAPTER_FILES[1]
_TENSOR = re.compile(r"^base_model\.model\.(?P<module>.+)\.lora_(?P<part>[AB])\.(?:default\.)?weight$")
#: Switches of PEFT that make more of an adapter than a product of two matrices, and what they are called.
_MORE = {
    "use_dora": "DoRA",
    "lora_bias": "a bias of its own",
    "modules_to_save": "whole modules beside the LoRA (modules_to_save)",
    "layer_replication": "layers that are there twice (layer_replication)",
    "alora_invocation_tokens": "aLoRA",
    "use_bdlora": "block-diagonal LoRA",
    "use_qalora": "QA-LoRA",
    "trainable_token_indices": "embeddings of single tokens (trainable_token_indices)",
    "target_parameters": "parameters that are no layers (target_parameters)",
}
#: Ways to initialise that change the base model's weights: such an adapter is right on the changed weights only.
_CHANGES_BASE = ("pissa", "olora", "corda", "loftq")


@dataclass(frozen=True, slots=True)
class LoraShape:
    """One layer's share of a LoRA adapter.

    Attributes:
        rank: Rows of A and columns of B.
        inputs: Columns of A.
        outputs: Rows of B.
        scale: What B A is multiplied with.
    """

    rank: int
    inputs: int
    outputs: int
    scale: float


@dataclass(frozen=True, slots=True)
class AdapterFiles:
    """An adapter on disk that has been looked through.

    Attributes:
        folder: Where it lies.
        version: The hash of its content, 16 hex digits.
        layers: What it changes, by the layer's name in the base model.
        base: The model that it says it was trained on; empty if it does not say.
    """

    folder: Path
    version: str
    layers: Mapping[str, LoraShape]
    base: str

    @property
    def rank(self) -> int:
        """The largest rank of any layer."""
        return max(layer.rank for layer in self.layers.values())


def read_adapter(folder: Path) -> AdapterFiles:
    """Look through an adapter's folder and hash its content.

    Args:
        folder: An existing directory.

    Raises:
        BadInput: It holds no LoRA adapter, a file is missing or damaged, or the adapter does something that not every
            engine computes.
    """
    what = f"the adapter in {folder}"
    if not (folder / CONFIG).is_file():
        raise BadInput(f"{folder} holds no adapter: it has no {CONFIG}")
    config = read_object(folder / CONFIG)
    _check_kind(config, what)
    weights = folder / WEIGHTS
    if not weights.is_file():
        raise BadInput(f"{what} has no {WEIGHTS}; other formats are not read: save it with safe_serialization=True")
    if is_lfs_pointer(weights):
        raise lfs_pointer(weights)
    header = read_header(weights)
    layers = _layers(header, config, what)
    version = _hash(header, layers, weights)
    return AdapterFiles(folder, version, layers, str(config.get("base_model_name_or_path") or ""))


def check_fit(adapter: AdapterFiles, linears: Mapping[str, tuple[int, int]], model: str) -> None:
    """Refuse an adapter that is for another model, or changes what cannot be changed.

    Args:
        adapter: The adapter.
        linears: The base model's linear layers inside its body, as (outputs, inputs) by name.
        model: What the base model is called, for the message.

    Raises:
        BadInput: A layer is not there, is no linear layer of the body, or has another shape.
    """
    what = f"the adapter in {adapter.folder} does not fit {model}"
    trained = f" (it was trained on {adapter.base})" if adapter.base else ""
    for name, layer in adapter.layers.items():
        if name not in linears:
            kinds = ", ".join(sorted({other.rpartition(".")[2] for other in linears}))
            raise BadInput(f"{what}{trained}: {name} is no layer that can be adapted; those are: {kinds}")
        outputs, inputs = linears[name]
        if (layer.outputs, layer.inputs) != (outputs, inputs):
            raise BadInput(
                f"{what}{trained}: {name} has {inputs} inputs and {outputs} outputs, and the adapter is made for "
                f"{layer.inputs} and {layer.outputs}"
            )


def _check_kind(config: Mapping[str, Any], what: str) -> None:
    kind = config.get("peft_type")
    if kind != "LORA":
        raise BadInput(f"{what} is of kind {kind!r}; only LORA is served: merge it into its model, and serve that")
    more = next((words for name, words in _MORE.items() if config.get(name)), None)
    if more is None and config.get("bias", "none") != "none":
        more = "a bias of its own"
    if more is not None:
        raise BadInput(f"{what} has {more}, which not every engine computes: merge it into its model, and serve that")
    start = str(config.get("init_lora_weights", "")).lower()
    if start.startswith(_CHANGES_BASE):
        raise BadInput(
            f"{what} was initialised by {start}, which changed the weights of its base: convert it to a plain LoRA "
            "with PEFT's path_initial_model_for_weight_conversion"
        )


def _layers(header: Mapping[str, Tensor], config: Mapping[str, Any], what: str) -> dict[str, LoraShape]:
    parts: dict[str, dict[str, tuple[int, ...]]] = {}
    for key, tensor in header.items():
        found = _TENSOR.match(key)
        if found is None or len(tensor.shape) != 2:
            raise BadInput(f"{what} has {key}, which is no part of a plain LoRA: merge it into its model")
        parts.setdefault(found["module"], {})[found["part"]] = tensor.shape
    if not parts:
        raise BadInput(f"{what} is empty: {WEIGHTS} holds no tensors")
    layers = {}
    for module, both in sorted(parts.items()):
        if len(both) < 2 or both["A"][0] != both["B"][1]:
            raise BadInput(f"{what} is not whole: its matrices A and B of {module} do not belong together")
        rank = both["A"][0]
        layers[module] = LoraShape(rank, both["A"][1], both["B"][0], _scale(config, module, rank, what))
    return layers


def _scale(config: Mapping[str, Any], module: str, rank: int, what: str) -> float:
    """PEFT's factor: alpha / r, or alpha / sqrt(r) for rank-stabilised LoRA (arXiv 2312.03732)."""
    try:
        declared = _pattern(config.get("rank_pattern"), module, config["r"])
        alpha = float(_pattern(config.get("alpha_pattern"), module, config["lora_alpha"]))
    except (KeyError, TypeError, ValueError, re.error) as error:
        raise BadInput(f"{what}: {CONFIG} does not say r and lora_alpha of {module}") from error
    if declared != rank:
        raise BadInput(f"{what}: {CONFIG} says rank {declared} of {module}, and its matrices have {rank}")
    return alpha / math.sqrt(rank) if config.get("use_rslora") else alpha / rank


def _pattern(patterns: Mapping[str, Any] | None, module: str, default: Any) -> Any:
    """PEFT's rule: a pattern fits if it is the end of the name, from a dot on; the first one counts."""
    for pattern, value in (patterns or {}).items():
        if re.match(rf"(.*\.)?({pattern})$", module):
            return value
    return default


def _hash(header: Mapping[str, Tensor], layers: Mapping[str, LoraShape], weights: Path) -> str:
    """Of what is computed: every matrix and every factor, and not how or when it was trained."""
    found = hashlib.sha256(json.dumps({name: layer.scale for name, layer in layers.items()}).encode())
    with weights.open("rb") as stream:
        for name, tensor in sorted(header.items()):
            found.update(f"\n{name} {tensor.dtype} {tensor.shape} ".encode())
            stream.seek(tensor.start)
            found.update(stream.read(tensor.end - tensor.start))
    return found.hexdigest()[:16]
