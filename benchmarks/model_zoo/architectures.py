"""The architectures that are tried: what is particular about each one's attention, and how it differs from `SHAPE`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

#: Sizes under all the names that configs have for them. The window is much shorter than the texts that are scored.
SHAPE: dict[str, Any] = {
    "vocab_size": 320,
    **dict.fromkeys(("hidden_size", "n_embd", "d_model", "word_embed_proj_dim"), 64),
    **dict.fromkeys(("intermediate_size", "n_inner", "ffn_dim", "dff", "ffn_hidden_size", "intermediate_size_mlp"), 96),
    **dict.fromkeys(("moe_intermediate_size", "shared_expert_intermediate_size", "shared_intermediate_size"), 48),
    **dict.fromkeys(("expert_ffn_hidden_size", "moe_shared_expert_intermediate_size"), 48),
    **dict.fromkeys(("num_hidden_layers", "num_layers", "n_layer", "n_layers"), 4),
    **dict.fromkeys(("num_attention_heads", "num_heads", "n_head", "n_heads", "attention_heads"), 4),
    "num_key_value_heads": 2,
    **dict.fromkeys(("head_dim", "kv_channels"), 32),
    **dict.fromkeys(("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len"), 512),
    **dict.fromkeys(("initializer_range", "init_std"), 0.2),  # large, so that every part changes the result
    **dict.fromkeys(("sliding_window", "local_attention", "window_size", "attention_window_size"), 24),
    **dict.fromkeys(("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts"), 4),
    **dict.fromkeys(("num_experts_per_tok", "moe_topk", "moe_k"), 2),
    **dict.fromkeys(("n_shared_experts", "num_shared_experts", "moe_num_shared_experts"), 1),
    **dict.fromkeys(("n_group", "topk_group", "first_k_dense_replace", "num_dense_layers"), 1),
    "kv_lora_rank": 16,
    "q_lora_rank": 24,
    "qk_nope_head_dim": 16,
    "qk_rope_head_dim": 8,
    "v_head_dim": 12,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "tie_word_embeddings": False,
}

_ALTERNATING = {"layer_types": ["sliding_attention", "full_attention"] * 2}
_ALL_HEADS = {"num_key_value_heads": 4}
_WINDOWS_OF_QWEN = {"use_sliding_window": True, "max_window_layers": 2}
#: vLLM has no LM head of its own for these, and no checkpoint of theirs has one.
_TIED = {"tie_word_embeddings": True}
_MULTIPLIED = {
    "embedding_multiplier": 3.0,
    "logits_scaling": 2.0,
    "residual_multiplier": 0.5,
    "attention_multiplier": 0.25,
}
_LINEAR = {
    "linear_key_head_dim": 16,
    "linear_value_head_dim": 16,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "layer_types": ["linear_attention", "full_attention"] * 2,
}
_MAMBA = {"mamba_n_heads": 4, "mamba_d_head": 32, "mamba_d_state": 16, "mamba_n_groups": 1, "mamba_chunk_size": 32}


@dataclass(frozen=True, slots=True)
class Architecture:
    """One architecture to try.

    Attributes:
        name: For the table, and the seed of the weights: the model type, and behind a comma what a further shape of
            that type tries.
        model_type: As transformers calls it.
        kind: What its layers do with the tokens before a token.
        changes: Of its config.
        vllm: Whether it is tried in vLLM as well: one of each kind of attention.
    """

    name: str
    model_type: str
    kind: str
    changes: dict[str, Any] = field(default_factory=dict)
    vllm: bool = False


def _of(kind: str, *entries: str | tuple[str, dict[str, Any]]) -> list[Architecture]:
    """Entries of one kind: a model type, or a model type and its changes."""
    pairs = [(entry, {}) if isinstance(entry, str) else entry for entry in entries]
    return [Architecture(model_type, model_type, kind, changes) for model_type, changes in pairs]


def _in_vllm(name: str, model_type: str, kind: str, **changes: Any) -> Architecture:
    return Architecture(name, model_type, kind, changes, vllm=True)


#: Two heads of 32: vLLM's CPU kernels know no heads of 16.
_TWO_HEADS = {"num_attention_heads": 2, "num_key_value_heads": 2}

ARCHITECTURES: list[Architecture] = [
    _in_vllm("llama", "llama", "grouped queries"),
    _in_vllm("llama, one key head", "llama", "one key head for all queries", num_key_value_heads=1),
    _in_vllm("gpt2", "gpt2", "every head its own keys, learned positions", n_head=2),
    _in_vllm("mistral", "mistral", "a window in every layer"),
    _in_vllm("gemma2", "gemma2", "soft-capped scores and logits, a window in every other layer", **_TIED),
    _in_vllm("gemma3_text", "gemma3_text", "normed queries and keys, windows with their own rotation", **_ALTERNATING),
    _in_vllm("qwen2", "qwen2", "biases on queries, keys and values", **_TWO_HEADS),
    _in_vllm("qwen3", "qwen3", "normed queries and keys"),
    _in_vllm("stablelm", "stablelm", "a part of each head rotates", **_TWO_HEADS),
    _in_vllm("cohere", "cohere", "attention and MLP side by side", logit_scale=0.5, **_TWO_HEADS, **_TIED),
    _in_vllm("mixtral", "mixtral", "a mixture of experts"),
    _in_vllm("qwen3_moe", "qwen3_moe", "a mixture of experts, normed queries and keys"),
    _in_vllm(
        "deepseek_v2",
        "deepseek_v2",
        "compressed keys and values (MLA)",
        kv_lora_rank=512,
        qk_rope_head_dim=64,
        qk_nope_head_dim=64,
        v_head_dim=64,
        **_ALL_HEADS,
    ),
    Architecture("llama, biases", "llama", "biases everywhere", {"attention_bias": True, "mlp_bias": True}),
    *(
        Architecture(f"llama, {rope['rope_type']} rotation", "llama", "stretched positions", {"rope_parameters": rope})
        for rope in (
            {"rope_type": "linear", "factor": 2.0, "rope_theta": 1e4},
            {
                "rope_type": "llama3",
                "factor": 8.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 64,
                "rope_theta": 1e4,
            },
            {"rope_type": "yarn", "factor": 8.0, "original_max_position_embeddings": 64, "rope_theta": 1e4},
            {"rope_type": "dynamic", "factor": 2.0, "original_max_position_embeddings": 256, "rope_theta": 1e4},
        )
    ),
    Architecture("phi3, a window", "phi3", "a window in every layer", {"sliding_window": 24}),
    Architecture("phimoe, a window", "phimoe", "a window that only the mask knows", {"sliding_window": 24}),
    Architecture("phimoe, a long window", "phimoe", "a window that only the mask knows", {"sliding_window": 100}),
    Architecture("qwen2_moe, windows", "qwen2_moe", "a window that only the mask knows", _WINDOWS_OF_QWEN),
    Architecture("qwen2, windows", "qwen2", "a window in some layers", _WINDOWS_OF_QWEN),
    Architecture("qwen3_moe, windows", "qwen3_moe", "a window in every layer", _WINDOWS_OF_QWEN),
    Architecture("stablelm, normed", "stablelm", "normed queries and keys", {"qk_layernorm": True}),
    *_of("grouped queries", "arcee", "ernie4_5", ("helium", {"head_dim": 16}), "hyperclovax", "jais2", "ministral3"),
    *_of("a prompt that sees itself whole", "hrm_text"),
    *_of("grouped queries", "nemotron", "seed_oss", ("smollm3", {"no_rope_layer_interval": 2}), "bitnet"),
    *_of("grouped queries, factors on scores, residuals and logits", ("granite", _MULTIPLIED)),
    *_of("normed queries and keys", "apertus", "hunyuan_v1_dense", "nanochat", "olmo2", "persimmon"),
    *_of("a part of each head rotates", "glm", "glm4", "gpt_neox", "phi", ("phi3", {"sliding_window": None})),
    *_of("every head its own keys", ("gemma", _ALL_HEADS), ("olmo", _ALL_HEADS)),
    *_of("one key head for all queries", "gpt_bigcode"),
    *_of("learned positions", "opt", "biogpt", "ctrl", "xglm", "openai-gpt"),
    *_of("a window in some layers", ("cohere2", _ALTERNATING), ("exaone4", _ALTERNATING), ("olmo3", _ALTERNATING)),
    *_of("a window in some layers", ("cwm", _ALTERNATING), ("ministral", _ALTERNATING), ("gemma4_text", _ALTERNATING)),
    *_of("a window in some layers", ("granite_swa", _MULTIPLIED | _ALTERNATING), ("vaultgemma", _ALTERNATING)),
    *_of("a window in every layer", "starcoder2"),
    *_of("compressed keys and values (MLA)", ("minicpm3", _ALL_HEADS), ("youtu", _ALL_HEADS)),
    *_of("MLA and a mixture of experts", ("deepseek_v3", _ALL_HEADS), ("glm4_moe_lite", _ALL_HEADS)),
    *_of("MLA and a mixture of experts", ("axk1", _ALL_HEADS), ("longcat_flash", _ALL_HEADS | {"head_dim": 8})),
    *_of(
        "a mixture of experts",
        "qwen2_moe",
        "flex_olmo",
        ("phimoe", {"sliding_window": None}),
        "glm4_moe",
        "ernie4_5_moe",
        "hunyuan_v1_moe",
    ),
    *_of("a mixture of experts", "olmoe", "minimax_m2", "solar_open", "aria_text", "hy_v3", "jetmoe"),
    *_of("a mixture of experts", ("granitemoe", _MULTIPLIED), ("granitemoeshared", _MULTIPLIED)),
    *_of(
        "a mixture of experts",
        (
            "dbrx",
            {
                "attn_config": {"kv_n_heads": 2, "rope_theta": 1e4, "clip_qkv": 8.0},
                "ffn_config": {"ffn_hidden_size": 96, "hidden_size": 64},
            },
        ),
    ),
    *_of("a mixture of experts, a window in some layers", ("dots1", _ALTERNATING), ("afmoe", _ALTERNATING)),
    *_of("a mixture of experts, a window in some layers", ("exaone_moe", _ALTERNATING), ("mellum", _ALTERNATING)),
    *_of("a mixture of experts, a window in some layers", ("mimo_v2_flash", _ALTERNATING), ("laguna", _ALTERNATING)),
    *_of(
        "a mixture of experts, a window in some layers",
        ("granitemoe_swa", _MULTIPLIED | _ALTERNATING),
        ("cohere2_moe", _ALTERNATING),
    ),
    *_of("chunks, which only the mask knows", ("llama4_text", {"attention_chunk_size": 24, "floor_scale": 8})),
    *_of(
        "a window that only the mask knows",
        "doge",
        "modernbert-decoder",
        ("gpt_neo", {"attention_types": [[["global", "local"], 2]]}),
    ),
    *_of("attention sinks", ("gpt_oss", _ALTERNATING)),
    *_of("differences of two attentions", "diffllama"),
    *_of("attention of its own, with linear biases", "bloom", "mpt"),
    *_of("attention of its own", "falcon", ("gptj", {"rotary_dim": 8}), ("codegen", {"rotary_dim": 8})),
    *_of("no attention, a state", ("mamba", {"state_size": 8}), ("falcon_mamba", {"state_size": 8}), "rwkv"),
    *_of("no attention, a state", ("mamba2", {"num_heads": 4, "head_dim": 32, "state_size": 8, "n_groups": 1})),
    *_of("attention, and layers with a state", ("qwen3_next", _LINEAR), ("qwen3_5_text", _LINEAR)),
    *_of(
        "attention, and layers with a state",
        ("bamba", _MAMBA | {"attn_layer_indices": [1]}),
        ("falcon_h1", _MAMBA | {"mamba_d_ssm": 128}),
    ),
    *_of(
        "attention, and layers with a state",
        ("jamba", {"attn_layer_period": 2, "attn_layer_offset": 1, "mamba_d_state": 8, "use_mamba_kernels": False}),
        ("granitemoehybrid", _MAMBA | {"layer_types": ["mamba", "attention"] * 2}),
        ("minimax", {"layer_types": ["linear_attention", "full_attention"] * 2, "block_size": 32}),
        ("recurrent_gemma", {"block_types": ["recurrent", "attention"], "lru_width": 64}),
        ("lfm2", {"layer_types": ["conv", "full_attention"] * 2, "norm_eps": 1e-5}),
    ),
]


def named(name: str) -> Architecture:
    """The entry of that name."""
    return next(entry for entry in ARCHITECTURES if entry.name == name)
