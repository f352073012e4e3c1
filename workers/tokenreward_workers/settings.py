"""A worker's settings: `TOKENREWARD_*` environment variables, overridden by command-line options."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, SecretStr, field_validator

from tokenreward.environment import Settings
from tokenreward.protocol.redis_url import check_redis_url
from tokenreward.schema import ADAPTER_NAME

#: The interfaces of servers that the remote engine scores through.
WireName = Literal["vllm", "vllm-generate", "sglang"]


class WorkerSettings(Settings):
    """What a worker serves, and how. Each field says what it is for."""

    redis_url: SecretStr | None = Field(None, description="Redis or Valkey that the service uses, or its Sentinels.")
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

    adapters: str = Field(
        "", description="Adapters that it serves from the start: `name=folder` or `name=hub/name`, with commas between."
    )
    max_adapters: int | None = Field(
        None,
        ge=0,
        description="Adapters held at once, 0: none; unset: 8, but 0 with vLLM without `adapters`. Remote: none.",
    )
    max_adapter_rank: int = Field(32, ge=1, le=512, description="vLLM: the largest rank of an adapter.")
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

    @property
    def named_adapters(self) -> dict[str, str]:
        """The adapters of the start: where each is, by its name."""
        return dict(part.split("=", 1) for part in self.adapters.split(",") if part)

    @property
    def adapter_slots(self) -> int:
        """How many adapters the engine holds at a time. vLLM's layers are slower with room for some."""
        if self.engine == "remote":
            return 0
        if self.max_adapters is not None:
            return self.max_adapters
        return 8 if self.engine != "vllm" or self.adapters else 0

    @field_validator("adapters")
    @classmethod
    def _named(cls, text: str) -> str:
        for part in filter(None, text.split(",")):
            name, equals, source = part.partition("=")
            if not (equals and source and re.match(ADAPTER_NAME, name)):
                raise ValueError("give adapters as NAME=FOLDER, with commas between; names are letters, digits and _.-")
        return text

    _usable = field_validator("redis_url")(check_redis_url)
