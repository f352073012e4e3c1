"""Tiny models and pairs, made on the spot: no downloads, milliseconds a forward pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

from tokenreward_trainer.data.pair import Pair
from tokenreward_trainer.training.config import PreferenceConfig

VOCABULARY = 320

CHAT = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    """Sums in one order, and no fight over the cores with other tests."""
    torch.set_num_threads(1)


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


@pytest.fixture(scope="session")
def llama() -> Callable[..., LlamaForCausalLM]:
    return build_llama


@pytest.fixture
def gemma() -> Callable[..., Gemma2ForCausalLM]:
    return build_gemma


@pytest.fixture
def make_pairs() -> Callable[..., list[Pair]]:
    return build_pairs


@pytest.fixture
def config(tmp_path: Path) -> Callable[..., PreferenceConfig]:
    """A PreferenceConfig for the CPU that writes, reports and caches nowhere else than in the test's directory."""

    def make(**changes: Any) -> PreferenceConfig:
        defaults: dict[str, Any] = {
            "output_dir": str(tmp_path / "run"),
            "reference_cache": str(tmp_path / "cache"),
            "use_cpu": True,
            "report_to": "none",
            "disable_tqdm": True,
            "save_strategy": "no",
            "per_device_train_batch_size": 4,
            "learning_rate": 1e-3,
            "logging_steps": 1,
        }
        return PreferenceConfig(**(defaults | changes))

    return make


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level tokenizer without merges and with ChatML's control tokens."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: i for i, token in enumerate(["<pad>", "<|im_start|>", "<|im_end|>", *alphabet])}
    backend = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="<pad>", eos_token="<|im_end|>", additional_special_tokens=["<|im_start|>"]
    )
    fast.chat_template = CHAT
    return fast


@pytest.fixture(scope="session")
def policy(tmp_path_factory: pytest.TempPathFactory, tokenizer: PreTrainedTokenizerFast) -> Path:
    """A tiny random policy that ends some of its responses."""
    path = tmp_path_factory.mktemp("policy")
    model = build_llama(vocab_size=len(tokenizer), spread=0.05, max_position_embeddings=2048)
    with torch.no_grad():
        model.lm_head.weight[tokenizer.eos_token_id] *= 8
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


@pytest.fixture(scope="session")
def service(policy: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of one that serves the policy, so that not every test has to start its own."""
    from stack import running  # two_processes.py imports this module, and nothing else of the tests

    environment = {"TOKENREWARD_MODEL": str(policy), "OMP_NUM_THREADS": "1"}
    with running(tmp_path_factory.mktemp("service"), engine="transformers", **environment) as stack:
        yield stack.url
