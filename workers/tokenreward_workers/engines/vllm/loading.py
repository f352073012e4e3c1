"""How vLLM is started: its arguments, the processes it gets, and what it says when it cannot start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tokenreward_workers.engines.vllm import environment
from tokenreward_workers.engines.vllm.adapters import lora_arguments
from tokenreward_workers.engines.vllm.settings import VllmSettings
from tokenreward_workers.engines.vllm.watchdog import watch


def load(path: Path, settings: VllmSettings, budget: int, requests: int, *, on_cpu: bool) -> Any:
    """Start vLLM's engine for a model.

    Args:
        path: A model directory.
        settings: How it is loaded and run.
        budget: Tokens per step.
        requests: The most requests that it has at a time.
        on_cpu: Whether this is vLLM's CPU build.

    Returns:
        vLLM's `LLMEngine`, with its EngineCore watched.
    """
    from vllm.engine.arg_utils import EngineArgs
    from vllm.v1.engine.llm_engine import LLMEngine

    from tokenreward_workers.engines.vllm.executor import ParallelScoringExecutor, ScoringExecutor

    arguments = EngineArgs(
        model=str(path),
        load_format=settings.load_format,
        config_format="hf",
        dtype=settings.dtype,
        hf_overrides={} if head_dtype(settings, on_cpu=on_cpu) == settings.dtype else {"head_dtype": "float32"},
        max_model_len=_context(settings, on_cpu=on_cpu),
        max_num_batched_tokens=budget,
        max_num_seqs=requests,
        enable_chunked_prefill=True,
        enable_prefix_caching=settings.prefix_cache,
        # Compiled graphs bring nothing for prompts and cost a minute at the start (docs/performance.md).
        enforce_eager=True,
        gpu_memory_utilization=settings.gpu_memory,
        num_gpu_blocks_override=settings.blocks,
        skip_tokenizer_init=True,
        use_tqdm_on_load=False,
        disable_log_stats=False,  # then every step reports, so that `score` returns to us after each
        tensor_parallel_size=settings.tensor_parallel,
        distributed_executor_backend=ScoringExecutor if settings.tensor_parallel == 1 else ParallelScoringExecutor,
        worker_extension_cls="tokenreward_workers.engines.vllm.extension.ScoringExtension",
        seed=0,
        **lora_arguments(path, settings),
        **({"block_size": 32, "kv_cache_memory_bytes": int(settings.kv_gib * 2**30)} if on_cpu else {}),
    )
    with environment.for_engine_core(on_cpu):
        engine = LLMEngine.from_engine_args(arguments)
    watch(engine)
    engine.get_supported_tasks()  # kept by vLLM; else the first request would ask EngineCore and wait for it
    if not engine.vllm_config.use_v2_model_runner:
        engine.collective_rpc("score_wanted_rows")
    elif settings.batched_head:
        engine.collective_rpc("score_rows_together")
    return engine


def _context(settings: VllmSettings, *, on_cpu: bool) -> int | None:
    """vLLM's longest sequence; -1 lets it shrink the model's own limit to what the card's memory holds."""
    if settings.max_tokens is not None:
        return settings.max_tokens + 1
    return None if on_cpu else -1


def head_dtype(settings: VllmSettings, *, on_cpu: bool) -> str:
    """Choose the LM head's arithmetic.

    A float32 head on a half-precision body takes away a third of the noise in contrasts and costs 1% on a GPU
    (docs/performance.md).
    """
    return settings.head_dtype or (settings.dtype if on_cpu else "float32")
