"""Floating-point operations of a decoder's forward pass, and what cards can do: the two halves of utilisation.

The counts are those of the usual estimate: two operations for each weight and token, four for each pair of query and
key and each value of a head, gated MLPs, nothing for norms and activations. They take the model's configuration as
a mapping (`config.json`), so that neither torch nor transformers is needed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

#: Name of a card -> peak of dense bfloat16 or float16 matrix products, from the makers' data sheets, without sparsity.
#: The first pattern that is found counts.
_PEAKS = (
    (r"\bB200\b", 2250e12),
    (r"\bH[12]00 NVL\b", 835e12),
    (r"\bH100 PCIe\b", 756e12),
    (r"\b(G?H200|H100)\b", 989e12),
    (r"\bA100\b", 312e12),
    (r"\bL40S\b", 362e12),
    (r"\bL4\b", 121e12),
    (r"\bRTX 4090\b(?! (D|Laptop)\b)", 165e12),
)


def body_flops(config: Mapping[str, Any], positions: range) -> float:
    """Count the operations of all layers.

    Args:
        config: Of the model, as in its `config.json`.
        positions: Where the tokens stand in their sequence; each attends to itself and to all tokens before it.

    Returns:
        Operations of those tokens together.
    """
    hidden, layers = config["hidden_size"], config["num_hidden_layers"]
    heads = config["num_attention_heads"]
    size = config.get("head_dim") or hidden // heads
    keys = (config.get("num_key_value_heads") or heads) * size
    weights = 2 * hidden * heads * size + 2 * hidden * keys + 3 * hidden * _inner(config)
    seen = sum(positions) + len(positions)
    return float(layers * (2.0 * weights * len(positions) + 4.0 * heads * size * seen))


def head_flops(config: Mapping[str, Any]) -> float:
    """Count the operations of the LM head for one row."""
    return float(2.0 * config["hidden_size"] * config["vocab_size"])


def peak_flops(device: str, dtype: str) -> float | None:
    """Look up what a card can do at most.

    Args:
        device: The name that the driver gives it, such as "NVIDIA H100 80GB HBM3".
        dtype: Of the matrix products.

    Returns:
        Operations per second, or None where that is not known: for another card, and for float32.
    """
    if dtype not in ("bfloat16", "float16"):
        return None
    return next((peak for pattern, peak in _PEAKS if re.search(pattern, device)), None)


def _inner(config: Mapping[str, Any]) -> int:
    """Width of the MLP that a token passes; of the experts that it passes, together, where there are experts."""
    experts = config.get("num_experts_per_tok")
    if experts:
        return int(experts * (config.get("moe_intermediate_size") or config["intermediate_size"]))
    return int(config["intermediate_size"])
