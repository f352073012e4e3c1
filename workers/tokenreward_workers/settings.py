"""A worker's settings: `TOKENREWARD_*` environment variables, overridden by command-line options."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SecretStr, field_validator

from tokenreward.environment import Settings
from tokenreward.protocol.redis_url import check_redis_url

#: The interfaces of servers that the remote engine scores through.
WireName = Literal["vllm", "vllm-generate", "sglang"]


class WorkerSettings(Settings):
    """What a worker serves, and how. Each field says what it is for."""

    redis_url: SecretStr | None = Field(None, description="Redis or Valkey that the service uses.")
    model: str = Field("demo", description="`demo` (SmolLM2-135M-Instruct), or a Hugging Face directory or name.")
    model_name: str | None = Field(None, description="The name clients ask for; none: taken from `model`.")
    engine: Literal["transformers", "vllm", "remote", "synthetic"] = Field("transformers", description="What scores.")
    dtype: str = Field("bfloat16", description="Of weights and activations: bfloat16, float16 or float32.")
    head_dtype: str | None = Field(
        None, description="Of the logits: float32, or the same as `dtype`; none: float32 on a GPU, `dtype` on a CPU."
    )
    max_tokens: int | None = Field(None, gt=0, description="Longest prompt + response; none: the model's own limit.")
    batch_tokens: int | None = Field(None, ge=64, description="Most tokens in one forward pass; none: what suits.")
    kv_gib: float = Field(1.0, gt=0, description="vLLM on the CPU: size of its KV cache.")
    gpu_memory: float = Field(0.8, gt=0, lt=1, description="vLLM on a GPU: the share of its memory to plan with.")

    tensor_parallel: int = Field(1, ge=1, description="vLLM: GPUs that share one copy of the model.")
    data_parallel: int = Field(
        1, ge=1, description="Workers below one supervisor, each with a copy of the model on GPUs of its own."
    )

    endpoint: str | None = Field(
        None, description="Remote: addresses of servers that serve `model`, with commas between them."
    )
    wire: WireName = Field("vllm-generate", description="Remote: which of their interfaces is used.")
    endpoint_model: str | None = Field(None, description="Remote: the model's name there; none: the first one listed.")
    endpoint_key: SecretStr | None = Field(None, description="Remote: the bearer token of the endpoints.")
    endpoint_requests: int = Field(32, ge=1, description="Remote: requests that each endpoint gets at a time.")
    weights_hash: str | None = Field(
        None, description="Remote: a hash that you vouch for; none: provenance says that the weights are unverified."
    )

    blob_url: str | None = Field(None, description="The service's `blob_url`: where large payloads are.")
    spill_bytes: int = Field(262_144, gt=0, description="The service's `spill_bytes`.")
    lease_seconds: float = Field(20.0, gt=0, description="How long a shard is held without progress of the engine.")
    cache_ttl_seconds: int = Field(86_400, ge=0, description="How long log-probs are kept for reuse; 0: not at all.")
    stop_seconds: float = Field(60.0, gt=0, description="Time to finish the shard at hand when told to stop.")

    _usable = field_validator("redis_url")(check_redis_url)
