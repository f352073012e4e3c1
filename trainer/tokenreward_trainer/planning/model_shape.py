"""The shape of a model: what its memory follows from, read off its configuration or a small table, without weights."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from tokenreward.checkpoint.hub import find_model
from tokenreward.checkpoint.loading import load_config
from tokenreward.errors import BadInput


@dataclass(frozen=True, slots=True)
class ModelShape:
    """The sizes of a decoder.

    Attributes:
        hidden: Width of the hidden states.
        intermediate: Width between the layers of an MLP.
        layers: The number of layers.
        heads: Query heads of a layer.
        key_heads: Key heads of a layer.
        head_width: Width of a head.
        vocabulary: Rows of the embedding.
        tied: Whether the embedding is the LM head, too.
        softcapped: Whether attention caps its scores, which PyTorch has no fused kernel for.
        norms: Norms of a layer.
        biases: Whether query, key and value projections have biases.
        experts: MLPs of a layer, of which a router picks some for each token.
        experts_used: MLPs that a token goes through.
    """

    hidden: int
    intermediate: int
    layers: int
    heads: int
    key_heads: int
    head_width: int
    vocabulary: int
    tied: bool = False
    softcapped: bool = False
    norms: int = 2
    biases: bool = False
    experts: int = 1
    experts_used: int = 1

    @property
    def queries(self) -> int:
        """Width of all query heads together."""
        return self.heads * self.head_width

    @property
    def keys(self) -> int:
        """Width of all key heads together."""
        return self.key_heads * self.head_width

    @property
    def linears(self) -> dict[str, tuple[int, int, int]]:
        """Inputs, outputs and number of each kind of linear map in a layer, by its usual name."""
        return {
            "q_proj": (self.hidden, self.queries, 1),
            "k_proj": (self.hidden, self.keys, 1),
            "v_proj": (self.hidden, self.keys, 1),
            "o_proj": (self.queries, self.hidden, 1),
            "gate_proj": (self.hidden, self.intermediate, self.experts),
            "up_proj": (self.hidden, self.intermediate, self.experts),
            "down_proj": (self.intermediate, self.hidden, self.experts),
        }

    @property
    def linear_weights(self) -> int:
        """Weights of all layers' linear maps, which are what quantisation makes smaller."""
        return self.layers * sum(inputs * outputs * count for inputs, outputs, count in self.linears.values())

    @property
    def embedding(self) -> int:
        """Weights of the embedding, and of the LM head."""
        return self.vocabulary * self.hidden

    @property
    def weights(self) -> int:
        """All weights."""
        small = self.norms * self.hidden + (self.queries + 2 * self.keys) * self.biases
        router = self.experts * self.hidden if self.experts > 1 else 0
        embeddings = self.embedding * (1 if self.tied else 2)
        return self.linear_weights + self.layers * (small + router) + embeddings + self.hidden

    def adapter_weights(self, rank: int, targets: str | list[str]) -> int:
        """Weights of a LoRA adapter.

        Args:
            rank: Its rank.
            targets: Names of linear maps, or `all-linear`.
        """
        kinds = [
            size
            for name, size in self.linears.items()
            if targets == "all-linear" or any(fnmatch(name, f"*{t.rpartition('.')[2]}") for t in _list(targets))
        ]
        return rank * self.layers * sum((inputs + outputs) * count for inputs, outputs, count in kinds)


_LLAMA_8B = ModelShape(4096, 14336, 32, 32, 8, 128, 128256)
#: Models that recipes name, as their config.json has them: whoever plans a run need not have the weights yet.
KNOWN = {
    "meta-llama/meta-llama-3-8b-instruct": _LLAMA_8B,
    "meta-llama/meta-llama-3-8b": _LLAMA_8B,
    "meta-llama/llama-3.1-8b-instruct": _LLAMA_8B,
    "google/gemma-2-9b-it": ModelShape(3584, 14336, 42, 16, 8, 256, 256000, tied=True, softcapped=True, norms=4),
    "mistralai/mistral-7b-instruct-v0.2": ModelShape(4096, 14336, 32, 32, 8, 128, 32000),
    "qwen/qwen2.5-7b-instruct": ModelShape(3584, 18944, 28, 28, 4, 128, 152064, biases=True),
}


def shape_of(name: str) -> tuple[ModelShape, str]:
    """Finds a model's shape.

    Args:
        name: A model directory or hub name.

    Returns:
        The shape, and where it comes from, for people.

    Raises:
        BadInput: It is neither in a configuration at hand nor in the table, and the hub does not give it.
    """
    if name.lower() in KNOWN and not Path(name).is_dir():
        return KNOWN[name.lower()], "its known shape"
    return _of_config(load_config(find_model(name, weights=False)).get_text_config(), name), "its config.json"


def _of_config(config: Any, name: str) -> ModelShape:
    try:
        heads = int(config.num_attention_heads)
        experts = getattr(config, "num_local_experts", None) or getattr(config, "num_experts", None) or 1
        width = getattr(config, "moe_intermediate_size", None) if experts > 1 else None
        return ModelShape(
            hidden=int(config.hidden_size),
            intermediate=int(width or config.intermediate_size),
            layers=int(config.num_hidden_layers),
            heads=heads,
            key_heads=int(getattr(config, "num_key_value_heads", None) or heads),
            head_width=int(getattr(config, "head_dim", None) or config.hidden_size // heads),
            vocabulary=int(config.vocab_size),
            tied=bool(getattr(config, "tie_word_embeddings", False)),
            softcapped=bool(getattr(config, "attn_logit_softcapping", None)),
            norms=4 if "gemma" in config.model_type else 2,
            biases=config.model_type.startswith("qwen2") or bool(getattr(config, "attention_bias", False)),
            experts=int(experts),
            experts_used=int(getattr(config, "num_experts_per_tok", None) or 1),
        )
    except (AttributeError, TypeError) as error:
        raise BadInput(f"model.name = {name!r}: its configuration has no shape that is known here: {error}") from None


def _list(targets: str | list[str]) -> list[str]:
    return [targets] if isinstance(targets, str) else targets
