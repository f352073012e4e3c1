"""The process that `vllm.VllmEngine` asks: JSON lines on stdin and stdout, everything that vLLM says on stderr."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from typing import IO, Any

from tokenreward.checkpoint.loading import first_line
from tokenreward.child_process import die_with

#: Requests that vLLM takes on at a time.
_SIDE_BY_SIDE_CPU, _SIDE_BY_SIDE_GPU = 64, 256


def main() -> None:
    """Answers the parent's questions until it closes the pipe."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # vLLM prints; the pipe to our parent is for answers only.
    about = json.loads(sys.stdin.readline())
    die_with(about["parent"])
    try:
        engine = _engine(about)
    except Exception as error:  # vLLM's start may raise anything
        _say(answers, {"error": f"the model in {about['path']} cannot be loaded: {first_line(error)}"})
        return
    _say(answers, {"ready": True})
    for line in sys.stdin:
        responses = _sample(engine, json.loads(line)["requests"], about)
        _say(answers, {"responses": responses})


def _engine(about: dict[str, Any]) -> Any:
    from vllm.engine.arg_utils import EngineArgs
    from vllm.v1.engine.llm_engine import LLMEngine

    settings, on_cpu = about["settings"], about["on_cpu"]
    kv = {"block_size": 32, "kv_cache_memory_bytes": int(settings["kv_gib"] * 2**30)} if on_cpu else {}
    arguments = EngineArgs(
        model=about["path"],
        load_format="hf",
        config_format="hf",
        dtype=settings["dtype"],
        # vLLM refuses a model whose longest text does not fit into its cache, however short ours are.
        max_model_len=about["longest"],
        max_num_seqs=_SIDE_BY_SIDE_CPU if on_cpu else _SIDE_BY_SIDE_GPU,
        enable_prefix_caching=True,
        enforce_eager=on_cpu,  # On a CPU, compiling needs a C++ compiler.
        gpu_memory_utilization=settings["gpu_memory"],
        skip_tokenizer_init=True,
        distributed_executor_backend="uni",
        disable_log_stats=True,
        seed=0,
        **kv,
    )
    return LLMEngine.from_engine_args(arguments)


def _sample(engine: Any, requests: list[dict[str, Any]], about: dict[str, Any]) -> list[list[tuple[list[int], bool]]]:
    from vllm import SamplingParams

    engine.reset_prefix_cache()  # What a former call left behind must not matter to this one.
    settings, stops = about["settings"], set(about["stops"])
    for place, request in enumerate(requests):
        for number, seed in enumerate(request["seeds"]):
            params = SamplingParams(
                temperature=settings["temperature"],
                top_p=settings["top_p"],
                max_tokens=request["room"],
                seed=seed,
                stop_token_ids=sorted(stops),
                ignore_eos=True,  # It would be the model's own; `stops` has it.
                detokenize=False,
            )
            engine.add_request(f"{place}.{number}", {"prompt_token_ids": request["ids"]}, params)
    found = dict(_finished(engine))
    return [
        [_response(found[f"{place}.{number}"], stops) for number in range(len(request["seeds"]))]
        for place, request in enumerate(requests)
    ]


def _finished(engine: Any) -> Iterator[tuple[str, list[int]]]:
    while engine.has_unfinished_requests():
        for output in engine.step():
            if output.finished:
                # vLLM may append a random suffix to the name a request was given.
                yield output.request_id.partition("-")[0], list(output.outputs[0].token_ids)


def _response(ids: list[int], stops: set[int]) -> tuple[list[int], bool]:
    return ids, bool(ids) and ids[-1] in stops


def _say(answers: IO[str], content: dict[str, Any]) -> None:
    answers.write(json.dumps(content) + "\n")
    answers.flush()


if __name__ == "__main__":
    main()
