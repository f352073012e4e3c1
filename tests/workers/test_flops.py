"""Operations of a forward pass, and the peaks of cards."""

from __future__ import annotations

import pytest

from tokenreward_workers.engines.flops import body_flops, head_flops, peak_flops

LLAMA_3_8B = {
    "vocab_size": 128_256,
    "hidden_size": 4096,
    "intermediate_size": 14_336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
}


def test_a_token_costs_two_operations_for_each_weight_and_four_for_each_key_and_width() -> None:
    weights = 32 * (2 * 4096 * 4096 + 2 * 4096 * 1024 + 3 * 4096 * 14_336)
    assert body_flops(LLAMA_3_8B, range(1)) == 2 * weights + 32 * 4 * 4096
    assert body_flops(LLAMA_3_8B, range(999, 1000)) == 2 * weights + 32 * 4 * 4096 * 1000
    assert head_flops(LLAMA_3_8B) == 2 * 4096 * 128_256


def test_the_tokens_of_a_sequence_add_up() -> None:
    apart = body_flops(LLAMA_3_8B, range(100)) + body_flops(LLAMA_3_8B, range(100, 300))
    assert body_flops(LLAMA_3_8B, range(300)) == pytest.approx(apart)


def test_a_token_passes_its_own_experts_only() -> None:
    experts = LLAMA_3_8B | {"num_experts_per_tok": 2, "moe_intermediate_size": 7168, "num_experts": 64}
    assert body_flops(experts, range(10)) == body_flops(LLAMA_3_8B, range(10))


@pytest.mark.parametrize(
    ("device", "peak"),
    [
        ("NVIDIA H100 80GB HBM3", 989e12),
        ("NVIDIA H100 PCIe", 756e12),
        ("NVIDIA H100 NVL", 835e12),
        ("NVIDIA H200", 989e12),
        ("NVIDIA GH200 480GB", 989e12),
        ("NVIDIA A100-SXM4-80GB", 312e12),
        ("NVIDIA L40S", 362e12),
        ("NVIDIA L4", 121e12),
        ("NVIDIA GeForce RTX 4090", 165e12),
        ("NVIDIA GeForce RTX 4090 D", None),
        ("NVIDIA B200", 2250e12),
        ("NVIDIA L40", None),
        ("AMD EPYC", None),
    ],
)
def test_the_peak_of_a_card_is_found_by_its_name(device: str, peak: float | None) -> None:
    assert peak_flops(device, "bfloat16") == peak
    assert peak_flops(device, "float32") is None
