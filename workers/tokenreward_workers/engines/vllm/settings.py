"""The vLLM engine's settings."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class VllmSettings:
    """How the model is loaded and run.

    Attributes:
        dtype: Of weights and arithmetic.
        head_dtype: Of the LM head's arithmetic; None: float32 on a GPU, `dtype` on the CPU.
        max_tokens: The longest sequence; None: what the model allows, and on a GPU what its memory holds.
        token_budget: Tokens per step; None: 1,024 on the CPU, 8,192 on a GPU. It bounds the memory of a step;
            that of log-probs, which vLLM's own memory profile does not see (vllm-project/vllm#52054), is bounded by
            computing 1,024 rows at a time.
        kv_gib: Size of the KV cache on the CPU.
        gpu_memory: Share of a GPU's memory that vLLM may plan with.
        prefix_cache: Whether shared prefixes are read once; off to measure against.
        batched_head: Whether the LM head sees the rows of all requests of a step at once; off to measure against.
        blocks: Size of the KV cache in blocks instead, for tests of eviction and preemption.
        tensor_parallel: GPUs that share one copy of the model; log-probs then differ as between two kinds of GPU.
        max_adapters: Adapters in one step, with room for four times as many in the CPU's memory; 0 for a model without
            adapters, whose layers are the faster for it.
        max_adapter_rank: The largest rank of an adapter.
        load_format: `hf`, which are the files that transformers reads, or `dummy` for random weights in benchmarks.
    """

    dtype: str = "bfloat16"
    head_dtype: str | None = None
    max_tokens: int | None = None
    token_budget: int | None = None
    kv_gib: float = 1.0
    gpu_memory: float = 0.8
    prefix_cache: bool = True
    batched_head: bool = True
    blocks: int | None = None
    tensor_parallel: int = 1
    max_adapters: int = 0
    max_adapter_rank: int = 32
    load_format: str = "hf"
