"""Random models and pairs of a tiny size, made on the spot: no downloads, and milliseconds a forward pass."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from transformers import Gemma2Config, Gemma2ForCausalLM, LlamaConfig, LlamaForCausalLM

from tokenreward_trainer.data.pair import Pair

VOCABULARY = 320

#: What a method cannot do without, beside labels.
NEEDS: dict[str, dict[str, Any]] = {"robust": {"label_smoothing": 0.1}}

CHAT = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def build_llama(
    dtype: torch.dtype = torch.float32, *, seed: int = 0, spread: float = 0.2, **changes: Any
) -> LlamaForCausalLM:
    """A Llama with grouped queries. `spread` is large, so that its predictions differ from token to token."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        initializer_range=spread,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        tie_word_embeddings=False,
    )
    for name, value in changes.items():
        setattr(config, name, value)
    return LlamaForCausalLM(config).to(dtype)


def build_gemma(dtype: torch.dtype = torch.float32, *, seed: int = 0, window: int = 6) -> Gemma2ForCausalLM:
    """A Gemma 2: soft-capped attention and logits, every other layer with a sliding window, tied embeddings."""
    torch.manual_seed(seed)
    config = Gemma2Config(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        query_pre_attn_scalar=8,
        sliding_window=window,
        attn_logit_softcapping=2.0,
        final_logit_softcapping=3.0,
        initializer_range=0.3,
        max_position_embeddings=256,
        pad_token_id=0,
    )
    return Gemma2ForCausalLM(config).to(dtype)


def build_pairs(count: int = 8, *, seed: int = 0, labeled: bool = True, longest: int = 14) -> list[Pair]:
    """Random pairs of differing lengths."""
    random = np.random.default_rng(seed)

    def ids(low: int, high: int) -> tuple[int, ...]:
        return tuple(int(i) for i in random.integers(3, VOCABULARY, random.integers(low, high)))

    pairs = []
    for index in range(count):
        prompt, chosen, rejected = ids(2, 9), ids(1, longest), ids(1, longest)
        rewards = [random.uniform(-0.5, 0.5, len(y)).astype(np.float32) for y in (chosen, rejected)]
        pairs.append(Pair(f"p{index}", prompt, chosen, rejected, *(rewards if labeled else (None, None))))
    return pairs
