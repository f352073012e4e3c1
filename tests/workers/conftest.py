"""What the worker tests share: the real demo model, and tiny random checkpoints of other architectures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tokenreward.chat_format import ChatFormat
from tokenreward_workers.model_files.resolve import ModelFiles, resolve_model
from tokenreward_workers.rendering import Renderer

_SHAPE: dict[str, Any] = {
    "vocab_size": 320,
    "hidden_size": 48,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "max_position_embeddings": 512,
    "initializer_range": 0.3,  # large, so that soft-capping and windows change the result
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}


@pytest.fixture(scope="session")
def demo() -> ModelFiles:
    return resolve_model("demo")


@pytest.fixture(scope="session")
def demo_chat(demo: ModelFiles) -> ChatFormat:
    return ChatFormat.load(demo.path)


@pytest.fixture(scope="session")
def renderer(demo_chat: ChatFormat) -> Renderer:
    return Renderer(demo_chat, max_tokens=2048, vocabulary=49152)


@pytest.fixture(scope="session")
def _checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    made: dict[str, Path] = {}

    def make(architecture: str) -> Path:
        if architecture not in made:
            made[architecture] = tmp_path_factory.mktemp(architecture)
            _random_model(architecture).save_pretrained(made[architecture])
        return made[architecture]

    return make


@pytest.fixture
def tiny(_checkpoints: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Path]]:
    """`tiny("llama")`: a directory with a random float32 model of that architecture.

    One thread: on a busy machine two of them wait for each other many times longer than such a model computes.
    """
    import torch

    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield _checkpoints
    torch.set_num_threads(before)


def _random_model(architecture: str) -> Any:
    import torch
    import transformers

    torch.manual_seed(7)
    if architecture == "llama":
        config = transformers.LlamaConfig(**_SHAPE)
    elif architecture == "qwen2":
        config = transformers.Qwen2Config(**{k: v for k, v in _SHAPE.items() if k != "head_dim"})
    elif architecture == "gemma2":
        config = transformers.Gemma2Config(
            **_SHAPE,
            sliding_window=24,
            attn_logit_softcapping=5.0,
            final_logit_softcapping=3.0,
            query_pre_attn_scalar=32,
        )
    elif architecture == "mamba":
        config = transformers.MambaConfig(vocab_size=320, hidden_size=32, num_hidden_layers=2, state_size=8)
    elif architecture == "bloom":
        config = transformers.BloomConfig(vocab_size=320, hidden_size=32, n_layer=2, n_head=4)
    else:
        raise ValueError(architecture)
    return transformers.AutoModelForCausalLM.from_config(config).float()
