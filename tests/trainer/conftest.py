"""Tiny models and pairs, made on the spot: no downloads, milliseconds a forward pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import Gemma2ForCausalLM, LlamaForCausalLM, PreTrainedTokenizerFast

from benchmarks.harness.stack import running
from tests.support.tiny_models import CHAT, build_gemma, build_llama, build_pairs
from tokenreward_trainer.data.pair import Pair
from tokenreward_trainer.training.config import PreferenceConfig


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    """Sums in one order, and no fight over the cores with other tests."""
    torch.set_num_threads(1)


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
    environment = {"TOKENREWARD_MODEL": str(policy), "OMP_NUM_THREADS": "1"}
    with running(tmp_path_factory.mktemp("service"), engine="transformers", **environment) as stack:
        yield stack.url
