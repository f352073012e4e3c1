"""The fast engine: vLLM, driven request by request, on a GPU or on the CPU.

Each branch is one request that asks for the log-probs of its own prompt. Requests of one item follow each other,
so that vLLM's prefix cache holds what they share, and their output is kept lean. Things vLLM does not do:

- A prefix needs no log-probs. It is sent ahead as a request without them, so that the LM head never sees its rows.
- A cached row has no log-prob, and vLLM hands back whatever was in memory there. Every row is checked to have
  been computed (`_complete`); a request with one that was not is scored again without the cache.
- EngineCore dies with this process (`vllm_executor`), and `step` returns when EngineCore dies (`_watch`).
"""

from __future__ import annotations

import itertools
import shutil
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tokenreward.errors import BadInput
from tokenreward_workers.engines.base import EngineDied, EngineInfo, EngineStats, OnStep, nothing_dropped
from tokenreward_workers.engines.vllm import environment as vllm_environment
from tokenreward_workers.engines.vllm.prompt_logprobs import _complete, _Pending, _requests
from tokenreward_workers.engines.vllm.watchdog import _Ended, _processes, _watch
from tokenreward_workers.scoring import Scored, Scoring, ScoringFailed, checked

NAME = "vllm"
_SMALLEST_BUDGET = 64
#: Requests given to vLLM at a time: enough to fill its steps, few enough to stay small and to stop soon.
_IN_FLIGHT_CPU, _IN_FLIGHT_GPU = 48, 256


@dataclass(frozen=True, slots=True)
class VllmSettings:
    """dtype: of weights and arithmetic.  max_tokens: longest sequence; the model's own limit if None.

    token_budget: tokens per step; bounds the memory of prompt log-probs (rows x vocabulary x 6 bytes, which
    vLLM's own memory profile does not see: vllm-project/vllm#52054). None: 1,024 on the CPU, 4,096 on a GPU.
    kv_gib: KV cache on the CPU.  gpu_memory: share of a GPU's memory that vLLM may plan with.
    prefix_cache: off for the plain path (to measure against).
    blocks: KV cache in blocks instead of GiB, for tests of eviction and preemption.
    tensor_parallel: GPUs that share one copy of the model; log-probs then differ as between two kinds of GPU.
    """

    dtype: str = "bfloat16"
    max_tokens: int | None = None
    token_budget: int | None = None
    kv_gib: float = 1.0
    gpu_memory: float = 0.8
    prefix_cache: bool = True
    compiled: bool = False
    blocks: int | None = None
    tensor_parallel: int = 1


@dataclass(slots=True)
class _Call:
    """The state of one `score`.

    running: requests by the number they were given.  partial: branches of scorings that are not whole yet.
    dropped: scorings that nobody waits for any more, or that have failed.
    """

    work: Sequence[Scoring]
    running: dict[str, _Pending] = field(default_factory=dict)
    partial: dict[int, Scored] = field(default_factory=dict)
    dropped: set[int] = field(default_factory=set)


class VllmEngine:
    """See the module.

    path: a model directory. Must be made in a thread that lives as long as the engine: EngineCore dies with it.
    Raises BadInput if vLLM cannot load the model.
    """

    def __init__(self, path: Path, settings: VllmSettings | None = None) -> None:
        self._path = path
        self._settings = settings or VllmSettings()
        vllm_environment.prepare()
        with warnings.catch_warnings(action="ignore"):
            import vllm
            from vllm.platforms import current_platform

        self._on_cpu = bool(current_platform.is_cpu())
        self._in_flight = _IN_FLIGHT_CPU if self._on_cpu else _IN_FLIGHT_GPU
        self._budget = self._settings.token_budget or (1024 if self._on_cpu else 4096)
        self._dead = False
        self._engine = self._start()
        config = self._engine.vllm_config.model_config
        self.info = EngineInfo(
            name=NAME,
            version=vllm.__version__,
            dtype=self._settings.dtype,
            max_tokens=int(config.max_model_len) - 1,  # vLLM insists on generating one token
            vocabulary=int(config.get_vocab_size()),
        )
        self.stats = EngineStats()
        self._numbers = itertools.count()

    def score(
        self, work: Sequence[Scoring], on_step: OnStep = nothing_dropped
    ) -> Iterator[tuple[int, Scored | ScoringFailed]]:
        call = _Call(work)
        waiting = _requests(work, self._settings.prefix_cache)
        try:
            while True:
                started = time.monotonic()
                for pending in itertools.islice(waiting, max(0, self._in_flight - len(call.running))):
                    if pending.index not in call.dropped and (refusal := self._add(pending, call)):
                        call.dropped.add(pending.index)
                        yield pending.index, refusal
                if not call.running:
                    break
                outcomes = [self._outcome(output, call) for output in self._step()]
                self.stats.busy_seconds += time.monotonic() - started
                yield from (outcome for outcome in outcomes if outcome is not None)
                unwanted = set(on_step()) - call.dropped
                call.dropped |= unwanted
                self._abort([number for number, pending in call.running.items() if pending.index in unwanted], call)
        finally:
            if not self._dead:
                self._abort(list(call.running), call)

    def restart(self) -> None:
        """After EngineDied: a new EngineCore with half the token budget."""
        self.close()
        self._budget = max(self._budget // 2, _SMALLEST_BUDGET)
        self._engine = self._start()
        self._dead = False
        self.stats.restarts += 1

    def close(self) -> None:
        """Ends EngineCore."""
        self._engine.engine_core.shutdown()

    def _start(self) -> Any:
        from vllm.engine.arg_utils import EngineArgs
        from vllm.v1.engine.llm_engine import LLMEngine

        from tokenreward_workers.engines.vllm.executor import ParallelScoringExecutor, ScoringExecutor

        settings = self._settings
        cpu_only = {"block_size": 32, "kv_cache_memory_bytes": int(settings.kv_gib * 2**30)} if self._on_cpu else {}
        arguments = EngineArgs(
            model=str(self._path),
            dtype=settings.dtype,
            max_model_len=settings.max_tokens + 1 if settings.max_tokens else None,
            max_num_batched_tokens=self._budget,
            max_num_seqs=self._in_flight,
            enable_chunked_prefill=True,
            enable_prefix_caching=settings.prefix_cache,
            enforce_eager=not (settings.compiled and _can_compile(self._on_cpu)),
            gpu_memory_utilization=settings.gpu_memory,
            num_gpu_blocks_override=settings.blocks,
            skip_tokenizer_init=True,
            use_tqdm_on_load=False,
            disable_log_stats=False,  # then every step reports, so `score` returns to us after each
            tensor_parallel_size=settings.tensor_parallel,
            distributed_executor_backend=ScoringExecutor if settings.tensor_parallel == 1 else ParallelScoringExecutor,
            seed=0,
            **cpu_only,
        )
        try:
            with vllm_environment.for_engine_core(self._on_cpu):
                engine = LLMEngine.from_engine_args(arguments)
        except (ValueError, OSError, RuntimeError) as error:
            raise BadInput(f"vLLM cannot serve the model in {self._path}: {error}") from error
        _watch(engine)
        engine.get_supported_tasks()  # kept by vLLM; else the first request would ask EngineCore and wait for it
        return engine

    def _add(self, pending: _Pending, call: _Call) -> ScoringFailed | None:
        """Gives a request to vLLM, or says why vLLM would not have it."""
        from vllm import SamplingParams
        from vllm.v1.engine.exceptions import EngineDeadError

        params = SamplingParams(
            max_tokens=1,
            temperature=0.0,
            prompt_logprobs=None if pending.branch is None else 0,
            flat_logprobs=True,
            detokenize=False,
            skip_reading_prefix_cache=not pending.cached,
        )
        number = str(next(self._numbers))
        try:
            self._engine.add_request(number, {"prompt_token_ids": pending.ids}, params)
        except Exception as error:  # of which type depends on vLLM's version
            # That it is gone may be known before its process counts as ended, which another thread waits for as well.
            gone = isinstance(error, EngineDeadError | _Ended)
            if gone or not all(process.is_alive() for process in _processes(self._engine)):
                raise self._died(error) from error
            return ScoringFailed("engine_error", f"vLLM refuses the request: {error}")
        call.running[number] = pending
        return None

    def _step(self) -> list[Any]:
        try:
            return list(self._engine.step())
        except Exception as error:  # whatever ended EngineCore, it is gone
            raise self._died(error) from error

    def _died(self, error: Exception) -> EngineDied:
        self._dead = True
        return EngineDied(f"vLLM's EngineCore ended: {type(error).__name__}: {error}")

    def _abort(self, numbers: list[str], call: _Call) -> None:
        for number in numbers:
            del call.running[number]
        if numbers:
            self._engine.abort_request(numbers)

    def _outcome(self, output: Any, call: _Call) -> tuple[int, Scored | ScoringFailed] | None:
        """What a finished request makes whole: a scoring, its failure, or nothing yet."""
        done = call.running.pop(_number(output.request_id), None)
        if done is None or done.index in call.dropped:
            return None
        self.stats.computed_tokens += len(done.ids) - (output.num_cached_tokens or 0)
        if done.branch is None:
            return None
        logprobs = _complete(output, done)
        if logprobs is None:
            failure = self._again(done, call)
            if failure is not None:
                call.dropped.add(done.index)
            return None if failure is None else (done.index, failure)
        scoring = call.work[done.index]
        whole = call.partial.setdefault(done.index, {})
        whole[done.branch] = logprobs
        if len(whole) < len(scoring.branches):
            return None
        self.stats.tokens += scoring.tokens
        return done.index, checked(call.partial.pop(done.index), len(scoring.response))

    def _again(self, done: _Pending, call: _Call) -> ScoringFailed | None:
        """Sends a request with rows out of the cache again, without it."""
        if not done.cached:
            return ScoringFailed("engine_error", "vLLM did not compute every log-prob, not even without its cache")
        self.stats.rescored += 1
        return self._add(replace(done, cached=False), call)


def _number(request_id: str) -> str:
    """vLLM may append a random suffix to the number a request was given."""
    return request_id.partition("-")[0]


def _can_compile(on_cpu: bool) -> bool:
    """vLLM's compiler needs a C++ compiler on the CPU."""
    return not on_cpu or shutil.which("g++") is not None or shutil.which("clang++") is not None
