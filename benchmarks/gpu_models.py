"""The models of `make gpu`: their shapes, checkpoints with random weights, and what a card can do at most.

Nothing is downloaded. Speed does not depend on the values of the weights, as long as they are not all zeros: a card
draws less power on zeros, and runs faster.

    python benchmarks/gpu_models.py SHAPE DIR TOKENIZER      writes a checkpoint
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

#: Llama-3-8B; a smaller model with the same vocabulary (1.5 billion weights); and one for a CPU.
SHAPES: dict[str, dict[str, Any]] = {
    "8b": {
        "vocab_size": 128_256,
        "hidden_size": 4096,
        "intermediate_size": 14_336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "rope_parameters": {"rope_type": "default", "rope_theta": 500_000.0},
    },
    "1b": {
        "vocab_size": 128_256,
        "hidden_size": 2048,
        "intermediate_size": 8192,
        "num_hidden_layers": 16,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
    },
    "tiny": {
        "vocab_size": 49_152,  # the tokenizer's; everything else as small as attention kernels take
        "hidden_size": 128,
        "intermediate_size": 256,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
    },
}


def configure(shape: str, path: Path, tokenizer: Path) -> Path:
    """Write a model directory without weights: the config of `shape`, and the tokenizer's files.

    Args:
        shape: A key of `SHAPES`.
        path: The directory to make.
        tokenizer: A directory with a tokenizer of at most the shape's vocabulary.

    Returns:
        `path`.
    """
    from transformers import LlamaConfig

    config = LlamaConfig(
        **SHAPES[shape],
        max_position_embeddings=8192,
        tie_word_embeddings=False,
        initializer_range=0.02,
        dtype="bfloat16",
        architectures=["LlamaForCausalLM"],
    )
    config.save_pretrained(path)
    for file in tokenizer.iterdir():
        if file.name.startswith(("tokenizer", "special_tokens", "chat_template", "vocab", "merges")):
            shutil.copy(file, path / file.name)
    return path


def build(shape: str, path: Path, tokenizer: Path) -> Path:
    """Write a whole checkpoint of `shape`, with bfloat16 weights drawn with a standard deviation of 0.02."""
    configure(shape, path, tokenizer)
    drawn(path, "bfloat16").save_pretrained(path)
    return path


def drawn(path: Path, dtype: str, attention: str = "sdpa") -> Any:
    """Make the model of a directory without weights on the accelerator, the weights drawn there.

    Args:
        path: A directory with a config.
        dtype: Of the weights.
        attention: The attention implementation; a model that is built from a config takes its own choice otherwise.

    Returns:
        The transformers model.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        torch.manual_seed(0)
        return AutoModelForCausalLM.from_config(
            AutoConfig.from_pretrained(path), dtype=getattr(torch, dtype), attn_implementation=attention
        )


if __name__ == "__main__":
    build(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
