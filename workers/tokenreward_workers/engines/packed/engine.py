"""The portable engine: any causal language model of transformers, or a token classifier made of one, on a CPU or one
GPU.

What branches and responses have in common is computed once (`tree`), the LM head runs on response rows only
(`head`), and work that begins alike is scored together (`window`). At start texts are scored both this way and the
plain way (`self_check`): a model whose architecture does not bear packing is refused, not mis-scored.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
import transformers

from tokenreward.errors import BadInput
from tokenreward.schema.provenance import TOKEN_CLASSIFIER
from tokenreward_workers.engines.base import EngineDied, EngineInfo, EngineStats, Feed, Key, Outcome
from tokenreward_workers.engines.flops import peak_flops
from tokenreward_workers.engines.lengths import longest_sequence
from tokenreward_workers.engines.loading import out_of_memory
from tokenreward_workers.engines.machine import bound_memory, cpus
from tokenreward_workers.engines.packed import self_check
from tokenreward_workers.engines.packed.adapters import Adapters
from tokenreward_workers.engines.packed.class_head import ClassHead, lengthened, shortened
from tokenreward_workers.engines.packed.forward import forward
from tokenreward_workers.engines.packed.heads import head_of
from tokenreward_workers.engines.packed.loading import load_model, pick_device, too_large
from tokenreward_workers.engines.packed.mlp import bound_mlps
from tokenreward_workers.engines.packed.tree import Pack, pack
from tokenreward_workers.engines.packed.window import Window, parts
from tokenreward_workers.scoring import Scored, Scoring, ScoringFailed, checked

NAME = "transformers"
_SMALLEST_BUDGET = 64
#: Tokens of a pass. On a CPU more no longer helps.
_CPU_BUDGET, _GPU_BUDGET = 1024, 8192
#: How often a pass tells that it is under way; telling costs more than a layer of a small model.
ALIVE_SECONDS = 0.25


class TransformersEngine:
    """A model of transformers that scores packs.

    Attributes:
        info: For the worker's fingerprint.
        stats: Counters.
    """

    def __init__(
        self,
        path: Path,
        dtype: str = "bfloat16",
        max_tokens: int | None = None,
        token_budget: int | None = None,
        head_dtype: str | None = None,
        max_adapters: int = 8,
    ) -> None:
        """Load and check a model.

        Args:
            path: A model directory.
            dtype: Of weights and arithmetic: "bfloat16", "float16" or "float32".
            max_tokens: The longest sequence; None: the model's own limit.
            token_budget: Tokens per forward pass; None: 1,024 on a CPU, 8,192 on a GPU.
            head_dtype: Of the logits: "float32", or `dtype`; None: see `head.LmHead`.
            max_adapters: How many adapters are kept in memory.

        Raises:
            BadInput: The model cannot be loaded, does not fit, or its architecture does not bear packing.
        """
        self._device = pick_device()
        if self._device.type == "cpu":
            bound_memory()
            if "OMP_NUM_THREADS" not in os.environ:  # else torch has done as the user says
                torch.set_num_threads(len(cpus()))
        self._budget = token_budget or (_GPU_BUDGET if self._device.type == "cuda" else _CPU_BUDGET)
        self._model = load_model(path, dtype, self._device)
        bound_mlps(self._model, self._budget)
        longest = min(max_tokens or 2**31, longest_sequence(self._model.config.get_text_config()))
        try:
            self._head = head_of(self._model, head_dtype)
            self_check.check(self._model, self._head, dtype, longest)
        except (RuntimeError, MemoryError) as error:
            if out_of_memory(error):
                raise BadInput(too_large(path, dtype, self._device)) from error
            raise
        self._adapters = Adapters(self._model, max_adapters)
        classifies = isinstance(self._head, ClassHead)
        self.info = EngineInfo(
            name=NAME,
            version=transformers.__version__,
            dtype=dtype,
            max_tokens=longest,
            vocabulary=self._head.vocabulary,
            head_dtype=self._head.dtype,
            peak_flops=_peak(self._device, dtype),
            head=TOKEN_CLASSIFIER if classifies else None,
            lacks=("moments", "top", "named") if classifies else (),
        )
        self.stats = EngineStats()

    @property
    def adapters(self) -> Sequence[str]:
        return self._adapters.versions

    def score(self, feed: Feed) -> Iterator[tuple[Key, Outcome]]:
        window = Window(feed)
        while True:
            window.fill(self._budget)
            group = dict(window.next_pass(self._budget))
            if not group:
                return
            yield from self._score_group(group, _Progress(feed, window, group))

    def restart(self) -> None:
        """Go on after `EngineDied` (out of memory) with half the token budget."""
        self._budget = max(self._budget // 2, _SMALLEST_BUDGET)
        bound_mlps(self._model, self._budget)
        self.stats.restarts += 1
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
            self._head.bound()

    def close(self) -> None:
        del self._model, self._head, self._adapters
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def _score_group(self, group: dict[Key, Scoring], progress: _Progress) -> Iterator[tuple[Key, Outcome]]:
        started = time.monotonic()
        yield from self._beyond_head(group)
        yield from self._without_adapters(group)
        if not group:
            return
        scored: dict[Key, Scored] = {key: {} for key in group}
        for part in parts(tuple(group.items()), self._budget):
            judging = isinstance(self._head, ClassHead)
            packed = pack(lengthened(part) if judging else part)
            for key, rows in self._forward(packed, progress.alive).items():
                scored[key] |= shortened(rows) if judging else rows
            self.stats.steps += 1
            self.stats.computed_tokens += len(packed.ids)
            self.stats.cached_tokens += packed.read - len(packed.ids)
            self.stats.branches += len(packed.asked)
            progress.tell()
            if not group:  # all of it was dropped
                break
        self.stats.busy_seconds += time.monotonic() - started
        for key, scoring in group.items():
            self.stats.tokens += scoring.tokens
            yield key, checked(scored[key], len(scoring.response), scoring.wanted)

    def _beyond_head(self, group: dict[Key, Scoring]) -> Iterator[tuple[Key, ScoringFailed]]:
        """What wants more of a token classifier than its judgements leaves the group before anything is computed."""
        if isinstance(self._head, ClassHead):
            for key in [key for key, scoring in group.items() if scoring.wanted]:
                del group[key]
                yield (
                    key,
                    ScoringFailed(
                        "engine_error",
                        "a token classifier judges tokens and predicts none: leave out moments, top and named",
                    ),
                )

    def _without_adapters(self, group: dict[Key, Scoring]) -> Iterator[tuple[Key, ScoringFailed]]:
        """Load the adapters of a group; what one of them is missing for leaves the group."""
        wanted = {adapter for scoring in group.values() for adapter in scoring.by_adapter if adapter is not None}
        failed = self._adapters.use(wanted) if wanted else {}
        for key, scoring in list(group.items()) if failed else ():
            if reason := next((failed[adapter] for adapter in scoring.by_adapter if adapter in failed), None):
                del group[key]
                yield key, ScoringFailed("adapter_failed", reason)

    def _forward(self, packed: Pack, alive: Callable[[], object]) -> dict[Key, Scored]:
        try:
            return forward(self._model, self._head, packed, alive)
        except (RuntimeError, MemoryError) as error:
            if out_of_memory(error):
                raise EngineDied(f"out of memory in a pass of {len(packed.ids)} tokens") from error
            raise


class _Progress:
    """Tells the feed of engine steps, and drops the keys that nobody wants from the window and from the pass."""

    def __init__(self, feed: Feed, window: Window, group: dict[Key, Scoring]) -> None:
        self._feed, self._window, self._group = feed, window, group
        self._told = time.monotonic()

    def alive(self) -> None:
        """Tell the feed, unless that has just been done."""
        if time.monotonic() - self._told >= ALIVE_SECONDS:
            self.tell()

    def tell(self) -> None:
        """Tell the feed in any case."""
        unwanted = self._feed.step()
        self._window.drop(unwanted)
        for key in unwanted:
            self._group.pop(key, None)
        self._told = time.monotonic()


def _peak(device: torch.device, dtype: str) -> float | None:
    return peak_flops(torch.cuda.get_device_name(device), dtype) if device.type == "cuda" else None
