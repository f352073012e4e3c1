"""vLLM behind the scoring seam: requests in, one step after the other, rows out.

Each branch is one request that asks for the log-probs of its own prompt. Requests of what begins alike follow each
other, so that vLLM's prefix cache holds what they share. vLLM has no guard against log-probs that it did not compute;
every answer is checked (`asking`), and a request without one is scored again without the cache. That happens after a
preemption; cache hits are bounded so that it does not happen otherwise (`cache_bound`).
"""

from __future__ import annotations

import itertools
import logging
import time
import warnings
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tokenreward_workers.engines.base import EngineDied, EngineInfo, EngineStats, Feed, Key, Outcome
from tokenreward_workers.engines.flops import peak_flops
from tokenreward_workers.engines.lengths import windows
from tokenreward_workers.engines.vllm import environment
from tokenreward_workers.engines.vllm.adapters import Adapters, refusal
from tokenreward_workers.engines.vllm.asking import Asking, OwnRowsAsking, TokenIdAsking, common_options, read_row
from tokenreward_workers.engines.vllm.loading import head_dtype, load
from tokenreward_workers.engines.vllm.requests import InFlight, Request, RequestOrder
from tokenreward_workers.engines.vllm.settings import VllmSettings
from tokenreward_workers.engines.vllm.watchdog import CoreEnded, core_processes
from tokenreward_workers.scoring import ScoringFailed, checked

log = logging.getLogger(__name__)

NAME = "vllm"
_SMALLEST_BUDGET = 64


@dataclass(frozen=True, slots=True)
class _Limits:
    """What suits the machine.

    requests: Given to vLLM at a time: enough to fill its steps, few enough to stay small and to stop soon.
    steps_ahead: Work taken from the feed, in steps' budgets of plain tokens. Sharing halves what is computed of them.
    budget: Tokens per step.
    """

    requests: int
    steps_ahead: int
    budget: int


_CPU, _GPU = _Limits(48, 4, 1024), _Limits(256, 8, 8192)


@dataclass(slots=True)
class _Call:
    """The state of one `score`.

    taken: scorings that were taken from the feed and are not done.  waiting: their requests that vLLM has not got yet.
    running: requests by the number they were given.
    """

    order: RequestOrder
    taken: dict[Key, InFlight] = field(default_factory=dict)
    waiting: deque[Request] = field(default_factory=deque)
    running: dict[str, Request] = field(default_factory=dict)
    ended: bool = False

    @property
    def tokens(self) -> int:
        """Plain tokens of what is taken and not done."""
        return sum(one.scoring.tokens for one in self.taken.values())


class VllmEngine:
    """See the module. It must be made in a thread that lives as long as the engine: EngineCore dies with it."""

    def __init__(self, path: Path, settings: VllmSettings | None = None) -> None:
        """Start EngineCore and load the model.

        Args:
            path: A model directory.
            settings: How it is loaded and run.
        """
        self._path = path
        self._settings = settings or VllmSettings()
        environment.prepare()
        with warnings.catch_warnings(action="ignore"):
            import vllm
            from vllm.platforms import current_platform

        self._on_cpu = bool(current_platform.is_cpu())
        self._limits = _CPU if self._on_cpu else _GPU
        self._budget = self._settings.token_budget or self._limits.budget
        self._dead = False
        self._closed = False
        self._numbers = itertools.count()
        self._adapters = Adapters(path, self._settings)
        self._engine = self._start()
        config = self._engine.vllm_config
        self._asking: Asking = TokenIdAsking() if self._v2 else OwnRowsAsking()
        self.info = EngineInfo(
            name=NAME,
            version=vllm.__version__,
            dtype=self._settings.dtype,
            max_tokens=int(config.model_config.max_model_len) - 1,  # vLLM insists on generating one token
            vocabulary=int(config.model_config.get_vocab_size()),
            head_dtype=head_dtype(self._settings, on_cpu=self._on_cpu),
            peak_flops=None if self._on_cpu else peak_flops(current_platform.get_device_name(), self._settings.dtype),
            windows=windows(config.model_config.hf_text_config),
        )
        self.stats = EngineStats()

    @property
    def adapters(self) -> Sequence[str]:
        return self._adapters.versions

    def score(self, feed: Feed) -> Iterator[tuple[Key, Outcome]]:
        call = _Call(RequestOrder(cached=self._settings.prefix_cache))
        try:
            while True:
                self._take(feed, call)
                started = time.monotonic()
                yield from self._submit(call)
                if not call.running:
                    if call.ended:
                        break
                    continue
                outputs = self._step()
                self.stats.steps += 1
                outcomes = [self._outcome(output, call) for output in outputs]
                self.stats.busy_seconds += time.monotonic() - started
                yield from (outcome for outcome in outcomes if outcome is not None)
                self._drop(feed.step(), call)
        finally:
            if not self._dead:
                self._abort(list(call.running), call)

    def restart(self) -> None:
        self._end_core()
        self._budget = max(self._budget // 2, _SMALLEST_BUDGET)
        self._engine = self._start()
        self._adapters.forget()
        if self._closed:
            self._end_core()
            raise EngineDied("the engine was closed")
        self._dead = False
        self.stats.restarts += 1

    def close(self) -> None:
        """End EngineCore, for good.

        Another thread may be at work with it: what it waits for then ends as if EngineCore had died.
        """
        self._closed = True
        self._end_core()

    def _end_core(self) -> None:
        self._engine.engine_core.shutdown()

    @property
    def _v2(self) -> bool:
        return bool(self._engine.vllm_config.use_v2_model_runner)

    def _start(self) -> Any:
        if self._closed:
            raise EngineDied("the engine was closed")
        return load(self._path, self._settings, self._budget, self._limits.requests, on_cpu=self._on_cpu)

    def _take(self, feed: Feed, call: _Call) -> None:
        """Take work ahead; wait for it if there is none left."""
        room = self._limits.steps_ahead * self._budget - call.tokens
        if call.ended or room <= 0:
            return
        more = feed.take(room, wait=not call.taken)
        if more is None:
            call.ended = True
            return
        batch = [InFlight(key, scoring) for key, scoring in more]
        call.taken |= {one.key: one for one in batch}
        call.waiting.extend(call.order.of(batch))

    def _submit(self, call: _Call) -> Iterator[tuple[Key, Outcome]]:
        """Give vLLM as many requests as it may have; the outcomes are refusals."""
        while call.waiting and len(call.running) < self._limits.requests:
            request = call.waiting.popleft()
            if not request.owner.over and (refusal := self._add(request, call)):
                yield self._over(request.owner, call), refusal

    def _add(self, request: Request, call: _Call) -> ScoringFailed | None:
        """Give a request to vLLM, or say why vLLM would not have it."""
        from vllm import SamplingParams

        options = common_options(request)
        if request.branch is not None:
            options |= self._asking.options(request)
        number = str(next(self._numbers))
        adapter = request.adapter
        try:
            lora = adapter and self._adapters.request(adapter, self._engine.add_lora)
        except Exception as error:  # of which type depends on vLLM's version
            self._check_alive(error)
            assert adapter is not None
            return ScoringFailed("adapter_failed", refusal(adapter, error))
        try:
            self._engine.add_request(
                number, {"prompt_token_ids": request.ids}, SamplingParams(**options), lora_request=lora
            )
        except Exception as error:  # likewise
            self._check_alive(error)
            return ScoringFailed("engine_error", f"vLLM refuses the request: {error}")
        call.running[number] = request
        return None

    def _check_alive(self, error: Exception) -> None:
        """Raise `EngineDied` if an error came because EngineCore is gone."""
        from vllm.v1.engine.exceptions import EngineDeadError

        # That it is gone may be known before its process counts as ended, which another thread waits for as well.
        gone = isinstance(error, EngineDeadError | CoreEnded)
        if gone or not all(process.is_alive() for process in core_processes(self._engine)):
            raise self._died(error) from error

    def _step(self) -> list[Any]:
        try:
            return list(self._engine.step())
        except Exception as error:  # whatever ended EngineCore, it is gone
            raise self._died(error) from error

    def _died(self, error: Exception) -> EngineDied:
        self._dead = True
        return EngineDied(f"vLLM's EngineCore ended: {type(error).__name__}: {error}")

    def _outcome(self, output: Any, call: _Call) -> tuple[Key, Outcome] | None:
        """What a finished request makes whole: a scoring, its failure, or nothing yet."""
        request = call.running.pop(_number(output.request_id), None)
        if request is None:
            return None
        cached = output.num_cached_tokens or 0
        self.stats.computed_tokens += len(request.ids) - cached
        self.stats.cached_tokens += cached
        self.stats.preemptions += output.metrics.num_preemptions
        if request.branch is None or request.owner.over:
            return None
        row = read_row(output, request)
        if row is None:
            failure = self._again(request, call)
            return None if failure is None else (self._over(request.owner, call), failure)
        self.stats.branches += 1
        whole = request.owner.add(request.branch, row)
        if whole is None:
            return None
        scoring = request.owner.scoring
        self.stats.tokens += scoring.tokens
        return self._over(request.owner, call), checked(whole, len(scoring.response), scoring.wanted)

    def _again(self, request: Request, call: _Call) -> ScoringFailed | None:
        """Send a request without an answer again, without the cache."""
        if not request.cached:
            return ScoringFailed("engine_error", "vLLM did not compute every log-prob, not even without its cache")
        self.stats.rescored += 1
        return self._add(replace(request, cached=False), call)

    def _over(self, one: InFlight, call: _Call) -> Key:
        """Nothing more is expected of this scoring."""
        one.over = True
        call.taken.pop(one.key, None)
        return one.key

    def _drop(self, keys: Any, call: _Call) -> None:
        dropped = [call.taken[key] for key in keys if key in call.taken]
        for one in dropped:
            self._over(one, call)
        if dropped:
            self._abort([number for number, request in call.running.items() if request.owner.over], call)

    def _abort(self, numbers: list[str], call: _Call) -> None:
        for number in numbers:
            del call.running[number]
        if numbers:
            self._engine.abort_request(numbers)


def _number(request_id: str) -> str:
    """vLLM may append a random suffix to the number a request was given."""
    return request_id.partition("-")[0]
