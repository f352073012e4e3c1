"""What the transformers engine proves of a model before it scores: windows, chunks and other kinds of attention."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from tests.support.tiny_checkpoint import plain_log_probs
from tests.workers.test_engines import random_ids
from tokenreward.errors import BadInput
from tokenreward_workers.engines.base import score_all
from tokenreward_workers.engines.lengths import longest_sequence, windows
from tokenreward_workers.engines.packed import self_check
from tokenreward_workers.engines.packed.engine import TransformersEngine
from tokenreward_workers.scoring import Scoring, ScoringFailed

SHAPE: dict[str, Any] = {
    "vocab_size": 320,
    "hidden_size": 48,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 512,
    "initializer_range": 0.3,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
LATENT = {"kv_lora_rank": 16, "q_lora_rank": 24, "qk_nope_head_dim": 16, "qk_rope_head_dim": 8, "v_head_dim": 12}
EXPERTS = {
    "num_local_experts": 2,
    "num_experts_per_tok": 1,
    "interleave_moe_layer_step": 1,
    "intermediate_size_mlp": 64,
}
SPARSE = {"num_experts": 2, "num_experts_per_tok": 1}

Save = Callable[..., Path]


@pytest.fixture
def save(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Save:
    """Saves a random model of a configuration's class."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    torch.set_num_threads(1)

    def make(kind: str, dtype: torch.dtype = torch.float32, **changes: Any) -> Path:
        torch.manual_seed(3)
        config = getattr(transformers, kind)(**SHAPE | changes)
        transformers.AutoModelForCausalLM.from_config(config).to(dtype).save_pretrained(tmp_path / "model")
        return tmp_path / "model"

    return make


def off_a_plain_pass(path: Path, length: int, **options: Any) -> float:
    """The largest difference of a log-prob, over two branches of up to `length` tokens."""
    engine = TransformersEngine(path, "float32", **options)
    response = random_ids(1, length // 3)
    prompts = {"a": random_ids(2, length - length // 3), "b": random_ids(3, length // 2)}
    (scored,) = score_all(engine, [Scoring.of(prompts, response)])
    assert not isinstance(scored, ScoringFailed), scored
    found = []
    for branch, prompt in prompts.items():
        plain = plain_log_probs(path, [*prompt, *response])[-len(response) :]
        found.append(float((torch.from_numpy(scored[branch].logprobs) - plain).abs().max()))
    return max(found)


@pytest.mark.parametrize("window", [20, 200, 4096])
def test_a_window_that_layers_pass_on_is_honoured_whatever_its_size(save: Save, window: int) -> None:
    path = save("MistralConfig", sliding_window=window, max_position_embeddings=8192)
    assert off_a_plain_pass(path, 450) < 1e-4


def test_a_window_of_some_layers_beside_soft_capping_is_honoured(save: Save) -> None:
    path = save("Gemma2Config", sliding_window=200, attn_logit_softcapping=5.0, final_logit_softcapping=3.0)
    assert off_a_plain_pass(path, 450) < 1e-4


@pytest.mark.parametrize("chunk", [200, 4096])
def test_a_chunk_that_lives_in_the_mask_alone_is_refused_unless_no_text_is_longer(save: Save, chunk: int) -> None:
    path = save("Llama4TextConfig", **EXPERTS, attention_chunk_size=chunk, max_position_embeddings=8192)
    with pytest.raises(BadInput, match=f"llama4_text .* window of {chunk} tokens.*--max-tokens {chunk} or less"):
        TransformersEngine(path, "float32")
    assert off_a_plain_pass(path, 190, max_tokens=min(chunk, 200)) < 1e-4


def test_an_error_that_half_precision_hides_is_found_in_a_copy_in_float32(save: Save) -> None:
    path = save("Llama4TextConfig", torch.bfloat16, **EXPERTS, attention_chunk_size=60, initializer_range=0.02)
    with pytest.raises(BadInput, match="beyond their window of 60 tokens"):
        TransformersEngine(path, "bfloat16")


def test_a_model_that_is_too_large_for_a_copy_is_proved_by_the_windows_effect(
    save: Save, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(self_check, "_COPIED", 0)
    monkeypatch.setattr(self_check, "_LONGEST", 0)
    path = save("MistralConfig", torch.bfloat16, sliding_window=300)
    TransformersEngine(path, "bfloat16")
    path = save("Llama4TextConfig", torch.bfloat16, **EXPERTS, attention_chunk_size=300)
    with pytest.raises(BadInput, match="beyond their window of 300 tokens"):
        TransformersEngine(path, "bfloat16")


def test_a_window_that_cannot_be_made_shorter_nor_reached_is_refused(
    save: Save, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(self_check, "_LONGEST", 0)
    monkeypatch.setattr(self_check, "WINDOWS", {})
    path = save("MistralConfig", sliding_window=300)
    with pytest.raises(
        BadInput, match="cannot be proved beyond their window of 300 tokens here: give --max-tokens 300"
    ):
        TransformersEngine(path, "float32")
    TransformersEngine(path, "float32", max_tokens=300)


def test_a_window_that_is_shortened_is_as_long_as_before_afterwards(save: Save) -> None:
    engine = TransformersEngine(save("MistralConfig", sliding_window=300), "float32")
    assert engine._model.config.sliding_window == 300
    with self_check._shortened(engine._model):
        assert engine._model.config.sliding_window == self_check._WINDOW
    assert {getattr(layer.self_attn, "sliding_window", 300) for layer in engine._model.model.layers} == {300}


def test_values_that_are_narrower_than_keys_are_right(save: Save) -> None:
    experts = {"n_routed_experts": 4, "n_group": 1, "topk_group": 1, "moe_intermediate_size": 16}
    experts |= {"num_experts_per_tok": 2, "first_k_dense_replace": 1}
    path = save("DeepseekV3Config", **LATENT, **experts, head_dim=8, num_key_value_heads=4)
    assert off_a_plain_pass(path, 300) < 1e-4


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("GptOssConfig", {"num_local_experts": 2, "num_experts_per_tok": 1, "sliding_window": 24}),
        ("Qwen3NextConfig", {"layer_types": ["linear_attention", "full_attention"], **SPARSE}),
        ("Lfm2Config", {"layer_types": ["conv", "full_attention"]}),
        ("RecurrentGemmaConfig", {"num_hidden_layers": 3, "attention_window_size": 24, "lru_width": 48}),
        ("GPTNeoConfig", {"attention_types": [[["global", "local"], 1]], "num_layers": 2, "window_size": 24}),
    ],
)
def test_layers_that_packs_cannot_have_are_refused(save: Save, kind: str, changes: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match="cannot be scored in packs"):
        TransformersEngine(save(kind, **changes), "float32")


@pytest.mark.parametrize(
    ("kind", "rope"),
    [
        ("LlamaConfig", {"rope_type": "dynamic", "factor": 4.0, "rope_theta": 10000.0}),
        ("Phi3Config", {"rope_type": "longrope", "short_factor": [1.0] * 8, "long_factor": [3.0] * 8}),
    ],
)
def test_texts_stay_below_the_length_at_which_rotary_embeddings_change(
    save: Save, kind: str, rope: dict[str, Any]
) -> None:
    parameters = {"original_max_position_embeddings": 100, "rope_theta": 10000.0} | rope
    changes = {"rope_parameters": parameters, "original_max_position_embeddings": 100}
    path = save(kind, hidden_size=64, **changes)
    engine = TransformersEngine(path, "float32")
    assert engine.info.max_tokens == 100
    assert off_a_plain_pass(path, 99) < 1e-4


class Config:
    """A configuration with some attributes."""

    def __init__(self, **attributes: Any) -> None:
        vars(self).update(attributes)


def test_windows_are_those_that_some_layer_has() -> None:
    assert windows(Config(sliding_window=8, attention_chunk_size=4)) == (4, 8)
    assert windows(Config(sliding_window=8, layer_types=["full_attention"])) == ()
    assert windows(Config(sliding_window=8, layer_types=["full_attention", "sliding_attention"])) == (8,)
    assert windows(Config(sliding_window=None, use_cache=True, window_size=[16, None])) == (16,)
    assert windows(Config(sliding_window=True)) == ()


def test_the_longest_sequence_is_read_under_the_names_that_it_has() -> None:
    assert longest_sequence(Config(max_position_embeddings=7)) == 7
    assert longest_sequence(Config(max_seq_len=9)) == 9
    assert longest_sequence(Config()) == 4096
    nested = {"sliding_attention": {"rope_type": "default"}, "full_attention": {"rope_type": "longrope"}}
    nested["full_attention"]["original_max_position_embeddings"] = 5  # type: ignore[assignment]
    assert longest_sequence(Config(max_position_embeddings=7, rope_parameters=nested)) == 5
    dynamic = {"rope_type": "dynamic"}
    assert longest_sequence(Config(max_position_embeddings=7, rope_parameters=dynamic)) == 7
    static = {"rope_type": "yarn", "original_max_position_embeddings": 5}
    assert longest_sequence(Config(max_position_embeddings=7, rope_parameters=static)) == 7
