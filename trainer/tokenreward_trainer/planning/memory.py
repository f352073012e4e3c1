"""The memory of one card in a training run, by arithmetic: what lies there from step to step, and the worst pass.

The parts are written out in docs/training.md. They are estimates for a card with flash attention; what
`make gpu` measured of an 8B adapter stands beside them in the tests.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from tokenreward_trainer.model.devices import rows_within
from tokenreward_trainer.planning.model_shape import ModelShape

GB = 2**30
#: Bytes of a 4-bit weight: the half byte, a scale of 8 bits for 64 of them, and one of 32 bits for 256 scales.
_NF4 = 0.5 + 1 / 64 + 4 / (64 * 256)
#: What the driver and the libraries take, and what several processes' communication takes beside it.
_CONTEXT, _COMMUNICATION = 1.0 * GB, 1.0 * GB
#: Memory that torch has taken and cannot use, as a share of the rest.
_FRAGMENTATION = 0.05
#: Weights that ZeRO-3 keeps gathered by default (`stage3_max_live_parameters`).
_ZERO_LIVE = 1_000_000_000
#: Bytes of optimizer states for each trained weight; what is not listed keeps Adam's two float32 numbers.
_STATES = {"sgd": 0, "adafactor": 0, "adamw_8bit": 2, "adamw_bnb_8bit": 2, "paged_adamw_8bit": 2, "lion_8bit": 1}
_ADAM = 8


@dataclass(frozen=True, slots=True)
class Demand:
    """What a run's memory follows from.

    Attributes:
        shape: The model.
        trained: The number of trained weights: all of them, or an adapter's.
        weight_bytes: Bytes of a weight as it is loaded.
        half: Whether arithmetic is in 16 bits.
        quantized: Whether the layers' frozen weights are in 4 bits.
        sharding: `none`, `fsdp` or `zero3`.
        cards: The number of cards.
        pass_tokens: The most tokens of a forward pass.
        row_tokens: The most tokens of prompt and completion.
        checkpointing: Whether only the layers' inputs are kept for the backward pass.
        optimizer: transformers' name of the optimizer.
        live_reference: Whether a whole reference model lies beside the policy.
        full_kl: Whether the loss looks at whole distributions of both.
        fused_softcap: Whether there is a kernel for soft-capped attention.
    """

    shape: ModelShape
    trained: int
    weight_bytes: int
    half: bool
    quantized: bool
    sharding: str
    cards: int
    pass_tokens: int
    row_tokens: int
    checkpointing: bool
    optimizer: str
    live_reference: bool = False
    full_kl: bool = False
    fused_softcap: bool = False

    @property
    def is_full(self) -> bool:
        """Whether all weights are trained."""
        return self.trained >= self.shape.weights


def memory_of(demand: Demand, card_gb: float) -> dict[str, float]:
    """Adds up the parts of the worst moment of a step.

    Args:
        demand: What the run asks for.
        card_gb: The card's memory, which the LM head's chunks are cut by.

    Returns:
        Bytes by part, none of them zero.
    """
    parts = _standing(demand) | _activations(demand)
    parts["LM head"] = _head(demand, card_gb * GB - sum(parts.values()))
    parts["driver and libraries"] = _CONTEXT + (_COMMUNICATION if demand.cards > 1 else 0)
    parts["fragmentation"] = _FRAGMENTATION * sum(parts.values())
    return {name: size for name, size in parts.items() if size > 0}


def reference_pass(demand: Demand) -> float:
    """Adds up the pass that computes the reference's log-probs beforehand, with the whole model on each card.

    Args:
        demand: What the run asks for.

    Returns:
        Bytes.
    """
    shape, width = demand.shape, 2 if demand.half else 4
    whole = replace(demand, sharding="none", checkpointing=True)
    inner = demand.pass_tokens * width * (6 * shape.hidden + 4 * shape.intermediate * shape.experts_used)
    parts = [_standing(whole)["weights"], _cast(whole), inner, _scores(whole), 4096 * shape.vocabulary * (4 + width)]
    return sum(parts) * (1 + _FRAGMENTATION) + _CONTEXT


def _standing(demand: Demand) -> dict[str, float]:
    """What lies there from step to step."""
    shape, shares = demand.shape, demand.cards if demand.sharding != "none" else 1
    if demand.quantized:
        weights = shape.linear_weights * _NF4 + (shape.weights - shape.linear_weights) * demand.weight_bytes
    elif demand.sharding == "zero3" and demand.half:
        weights = shape.weights * 2 / shares
    else:
        weights = shape.weights * demand.weight_bytes / shares
    master = 4 * demand.trained / shares if demand.sharding == "zero3" and demand.half else 0
    states = _STATES.get(demand.optimizer, min(_ADAM, 2 * demand.weight_bytes) if demand.is_full else _ADAM)
    # An adapter is float32 whatever the model is; so are the weights that FSDP shards under mixed precision.
    gradient = demand.weight_bytes if demand.is_full and demand.sharding == "none" else 4
    adapter = 0 if demand.is_full else 4 * demand.trained / shares
    ddp = gradient * demand.trained if demand.cards > 1 and demand.sharding == "none" else 0
    return {
        "weights": weights,
        "adapter": adapter,
        "float32 master weights": master,
        "gradients": gradient * demand.trained / shares,
        "DDP's buckets": ddp,
        "optimizer": states * demand.trained / shares,
        "reference": shape.weights * demand.weight_bytes / shares if demand.live_reference else 0,
        "gathered shards": _gathered(demand),
        "weights cast to 16 bits": _cast(demand),
    }


def _gathered(demand: Demand) -> float:
    """Weights that are whole for a moment: of the layer in use and the next, and of embedding and LM head."""
    shape, width = demand.shape, 2 if demand.half else 4
    layer = shape.linear_weights / shape.layers
    if demand.sharding == "fsdp":
        ends = shape.embedding * (1 if shape.tied else 2)
        return width * (2 * layer + ends) + (width * (layer + ends) if demand.is_full else 0)
    if demand.sharding == "zero3":
        return width * (min(shape.weights, _ZERO_LIVE) + 2 * layer)
    return 0.0


def _cast(demand: Demand) -> float:
    """Autocast's copies of float32 weights, which it keeps for the length of a forward pass."""
    if demand.sharding != "none" or not demand.half or demand.weight_bytes < 4 or demand.quantized:
        return 0.0
    return 2.0 * demand.shape.weights


def _activations(demand: Demand) -> dict[str, float]:
    """What a pass keeps for its way back. A layer's inner values are alive for one layer, or for all."""
    shape, width = demand.shape, 2 if demand.half else 4
    # Float32 weights under autocast leave the stream of hidden states in float32.
    stream = 4 if not demand.half or (demand.weight_bytes == 4 and demand.sharding == "none") else 2
    inner = shape.intermediate * shape.experts_used
    per_token = width * (2 * shape.hidden + 3 * shape.queries + 6 * shape.keys + 4 * inner)
    per_token += (2 * stream + 2 * 4) * shape.hidden
    if not demand.is_full:  # Every adapter reads a copy of its layer's input.
        per_token += width * (6 * shape.hidden + shape.queries + inner)
    backward = width * (3 * inner + 2 * shape.hidden)
    tokens = demand.pass_tokens
    scratch = 2 * width * max(inputs * outputs for inputs, outputs, _ in shape.linears.values())
    return {
        "hidden states": tokens * shape.hidden * stream * (shape.layers + 2),
        "inside a layer": tokens * (per_token * (1 if demand.checkpointing else shape.layers) + backward),
        "attention scores": _scores(demand),
        "unpacked 4-bit weights": scratch if demand.quantized else 0,
    }


def _scores(demand: Demand) -> float:
    """Scores that attention writes out where no kernel caps them on the fly: forwards, capped, weights, and back."""
    shape = demand.shape
    if not shape.softcapped or (demand.fused_softcap and demand.half):
        return 0.0
    rows = max(2, demand.pass_tokens // demand.row_tokens)
    layers = 1 if demand.checkpointing else shape.layers
    width = 2 if demand.half else 4
    return float(rows * shape.heads * demand.row_tokens**2 * (layers * (3 * width + 4) + 2 * width + 4))


def _head(demand: Demand, free: float) -> float:
    """The logits of a chunk with what becomes of them, and the head's own gradient and copy."""
    shape, width = demand.shape, 2 if demand.half else 4
    rows = min(demand.pass_tokens, rows_within(max(0, int(free / 16)), shape.vocabulary))
    per_logit = 4 + 2 * width + (4 if shape.softcapped else 0) + (8 if demand.full_kl else 0)
    own = demand.pass_tokens * shape.hidden * (4 + width)
    gradient = shape.embedding * (4 + 4) if demand.is_full else 0
    cast = shape.embedding * 2 if demand.half and demand.weight_bytes == 4 and demand.sharding == "none" else 0
    return float(rows * shape.vocabulary * per_logit + own + gradient + cast)
