"""The portable engine: any causal language model of transformers, on a CPU or one GPU.

What branches and responses have in common is computed once (`tree`), the LM head runs on response rows only,
and the float32 log-softmax is taken of a bounded number of rows at a time. At start it scores a short text both
this way and the plain way: a model whose architecture does not bear packing is refused, not mis-scored.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

from tokenreward.errors import BadInput
from tokenreward_workers.engines.base import EngineDied, EngineInfo, EngineStats, Feed, Key, Outcome
from tokenreward_workers.engines.machine import bound_memory, cpus
from tokenreward_workers.engines.packed import attention as tree_attention
from tokenreward_workers.engines.packed.tree import Pack, pack
from tokenreward_workers.engines.packed.window import Window, cost
from tokenreward_workers.scoring import Row, Scored, Scoring, checked

NAME = "transformers"
#: float32 logits held at a time, in bytes.
_LOGITS_BYTES = 64 * 2**20
_SMALLEST_BUDGET = 64
#: How often a pass tells that it is under way; telling costs more than a layer of a small model.
_ALIVE_SECONDS = 0.25


def _nothing() -> None:
    pass


class TransformersEngine:
    """See the module.

    path: a model directory.  dtype: of weights and arithmetic, "bfloat16", "float16" or "float32".
    max_tokens: longest sequence; the model's own limit if None.
    token_budget: tokens per forward pass; None: 1,024 on the CPU, where more no longer helps, 8,192 on a GPU.
    Raises BadInput if the model cannot be loaded or its architecture does not bear packing.
    """

    def __init__(
        self, path: Path, dtype: str = "bfloat16", max_tokens: int | None = None, token_budget: int | None = None
    ) -> None:
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        if self._device.type == "cpu":
            bound_memory()
            if "OMP_NUM_THREADS" not in os.environ:  # else torch has done as the user says
                torch.set_num_threads(len(cpus()))
        self._model = _load(path, dtype).to(self._device)
        self._budget = token_budget or (8192 if self._device.type == "cuda" else 1024)
        config = self._model.config.get_text_config()
        self._scale, self._cap = _logit_shape(config)
        self._layers = int(config.num_hidden_layers)
        self.info = EngineInfo(
            name=NAME,
            version=transformers.__version__,
            dtype=dtype,
            max_tokens=min(max_tokens or 2**31, _limit(config)),
            vocabulary=int(self._model.get_output_embeddings().weight.shape[0]),
        )
        self.stats = EngineStats()
        self._self_check()

    def score(self, feed: Feed) -> Iterator[tuple[Key, Outcome]]:
        window = Window(feed)
        while True:
            window.fill(self._budget)
            group = dict(window.next_pass(self._budget))
            if not group:
                return
            step = _Step(feed, window, group)
            started = time.monotonic()
            scored: dict[Key, Scored] = {key: {} for key in group}
            for part in _parts(group, self._budget):
                packed = pack(part)
                for key, rows in self._scored(packed, step.alive).items():
                    scored[key] |= rows
                self.stats.steps += 1
                self.stats.computed_tokens += len(packed.ids)
                self.stats.cached_tokens += packed.read - len(packed.ids)
                self.stats.branches += len(packed.wanted)
                step.done()
                if not group:
                    break
            self.stats.busy_seconds += time.monotonic() - started
            for key, scoring in group.items():
                self.stats.tokens += scoring.tokens
                yield key, checked(scored[key], len(scoring.response))

    def restart(self) -> None:
        """After EngineDied (out of memory): half the token budget."""
        self._budget = max(self._budget // 2, _SMALLEST_BUDGET)
        self.stats.restarts += 1
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def close(self) -> None:
        del self._model

    def _scored(self, packed: Pack, alive: Callable[[], object]) -> dict[Key, Scored]:
        """Raises EngineDied if memory runs out."""
        try:
            return self._forward(packed, alive)
        except (torch.OutOfMemoryError, MemoryError) as error:
            raise EngineDied(f"out of memory in a pass of {len(packed.ids)} tokens") from error
        except RuntimeError as error:
            if "allocate memory" in str(error):
                raise EngineDied(f"out of memory in a pass of {len(packed.ids)} tokens") from error
            raise

    @torch.inference_mode()
    def _forward(self, packed: Pack, alive: Callable[[], object] = _nothing) -> dict[Key, Scored]:
        """alive: called in every layer, and for every chunk of rows."""
        ids = torch.from_numpy(packed.ids)[None].to(self._device)
        positions = torch.from_numpy(packed.positions)[None].to(self._device)
        with tree_attention.attending(packed, alive) as layout:
            hidden = self._model.base_model(input_ids=ids, position_ids=positions, use_cache=False).last_hidden_state[0]
        if layout.layers != self._layers:
            raise NotImplementedError(f"{layout.layers} of its {self._layers} layers are attention that can be packed")
        rows = np.concatenate([wanted.rows for wanted in packed.wanted])
        targets = np.concatenate([wanted.targets for wanted in packed.wanted])
        hidden = hidden[torch.from_numpy(rows).to(self._device)]
        logprobs = self._log_probs(hidden, torch.from_numpy(targets), alive)
        scored: dict[Key, Scored] = {wanted.key: {} for wanted in packed.wanted}
        at = 0
        for wanted in packed.wanted:
            scored[wanted.key][wanted.branch] = Row(logprobs[at : at + len(wanted.targets)])
            at += len(wanted.targets)
        return scored

    def _log_probs(self, hidden: torch.Tensor, targets: torch.Tensor, alive: Callable[[], object]) -> np.ndarray:
        """Hidden states [R, H] and the ids [R] they should predict -> float32 [R]."""
        head = self._model.get_output_embeddings()
        chunk = max(1, _LOGITS_BYTES // (4 * self.info.vocabulary))
        out = np.empty(len(targets), dtype=np.float32)
        for at in range(0, len(targets), chunk):
            alive()
            logits = head(hidden[at : at + chunk])
            if self._scale is not None:
                logits = logits.float() * self._scale
            if self._cap is not None:
                logits = torch.tanh(logits.float() / self._cap) * self._cap
            logprobs = logits.log_softmax(-1, dtype=torch.float32)
            out[at : at + chunk] = logprobs.gather(-1, targets[at : at + chunk, None].to(self._device))[:, 0].cpu()
        return out

    @torch.inference_mode()
    def _self_check(self) -> None:
        """Packed and plain log-probs of a short text must agree."""
        vocabulary = min(self.info.vocabulary, 1000)
        ids = tuple((7 * n * n + 3 * n + 11) % vocabulary for n in range(64))
        work: list[tuple[Key, Scoring]] = [(0, Scoring(ids[:24], {"a": ids[24:30], "b": ids[31:33]}, ids[40:]))]
        try:
            packed = self._forward(pack(work))[0]
        except (NotImplementedError, AttributeError, TypeError) as error:
            raise BadInput(f"{self._model.config.model_type} models cannot be scored in packs: {error}") from error
        self._model.set_attn_implementation("eager")
        for branch, rest in work[0][1].branches.items():
            whole = torch.tensor([[*ids[:24], *rest, *work[0][1].response]], device=self._device)
            logits = self._model(input_ids=whole, use_cache=False).logits[0].float().log_softmax(-1)
            plain = logits[:-1].gather(-1, whole[0, 1:, None])[-len(work[0][1].response) :, 0].cpu().numpy()
            apart = float(np.abs(plain - packed[branch].logprobs).mean())
            if not apart < (1e-3 if self.info.dtype == "float32" else 0.2):
                model = self._model.config.model_type
                raise BadInput(f"{model} models cannot be scored in packs: log-probs are {apart:.3g} off a plain pass")
        self._model.set_attn_implementation(tree_attention.NAME)


class _Step:
    """Tells the feed of an engine step, and drops from window and pass the keys that nobody wants any more."""

    def __init__(self, feed: Feed, window: Window, group: dict[Key, Scoring]) -> None:
        self._feed, self._window, self._group = feed, window, group
        self._told = time.monotonic()

    def alive(self) -> None:
        """Tell the feed, unless that has just been done."""
        if time.monotonic() - self._told >= _ALIVE_SECONDS:
            self.done()

    def done(self) -> None:
        """Tell the feed in any case."""
        unwanted = self._feed.step()
        self._window.drop(unwanted)
        for key in unwanted:
            self._group.pop(key, None)
        self._told = time.monotonic()


def _parts(group: dict[Key, Scoring], budget: int) -> Iterator[list[tuple[Key, Scoring]]]:
    """The passes of a group: one, but a scoring of more than two passes' tokens is read a few branches at a time."""
    if sum(map(cost, group.values())) <= 2 * budget or len(group) > 1:
        yield list(group.items())
        return
    ((key, whole),) = group.items()
    branches: dict[str, tuple[int, ...]] = {}
    for branch, rest in whole.branches.items():
        if branches and cost(Scoring(whole.prefix, {**branches, branch: rest}, whole.response)) > 2 * budget:
            yield [(key, Scoring(whole.prefix, branches, whole.response))]
            branches = {}
        branches[branch] = rest
    yield [(key, Scoring(whole.prefix, branches, whole.response))]


def _load(path: Path, dtype: str) -> Any:
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    try:
        model = transformers.AutoModelForCausalLM.from_pretrained(
            path, dtype=getattr(torch, dtype), attn_implementation=tree_attention.NAME
        )
    except (OSError, ValueError, KeyError) as error:
        raise BadInput(f"the model in {path} cannot be loaded: {error}") from error
    return model.eval()


def _logit_shape(config: Any) -> tuple[float | None, float | None]:
    """(factor, soft cap) that the model applies to its logits after the LM head."""
    factor = getattr(config, "logit_scale", None)  # Cohere
    if getattr(config, "logits_scaling", None):  # Granite
        factor = 1.0 / config.logits_scaling
    return factor, getattr(config, "final_logit_softcapping", None)


def _limit(config: Any) -> int:
    """Longest sequence. Where rotary embeddings change with length, packed sequences must stay below the change."""
    longest = int(getattr(config, "max_position_embeddings", None) or 4096)
    rope = getattr(config, "rope_parameters", None) or {}
    if rope.get("rope_type") in ("dynamic", "longrope"):
        return int(rope.get("original_max_position_embeddings") or longest)
    return longest
