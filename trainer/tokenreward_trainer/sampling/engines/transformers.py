"""The portable engine: one model in this process, a batch of responses at a time.

Each prompt is read once for all its responses, and responses that have ended leave the batch. A response's tokens are
drawn by random numbers of its own seed, so what its neighbours do changes nothing but rounding.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from transformers import DynamicCache

from tokenreward.checkpoint.hub import find_model
from tokenreward.checkpoint.loading import CAUSAL_LM, load_model
from tokenreward_trainer.model.devices import exact_dtype, give_back_memory
from tokenreward_trainer.sampling.engines.base import Request, Response
from tokenreward_trainer.sampling.settings import Sampling

#: Candidates that are looked at before a row's whole vocabulary is sorted: the nucleus is seldom larger. Finding so few
#: is a pass over the row; for a thousand, torch sorts.
_CANDIDATES = 128
#: The batch is made smaller once this share of it has ended: copying its cache costs about as much as a step.
_ENDED = 0.2


class TransformersEngine:
    """Samples with a transformers model in this process.

    Args:
        path: A model directory or hub name.
        settings: How responses are sampled.
        stops: Tokens that end a response.

    Raises:
        BadInput: The model cannot be loaded, or is not whole.
    """

    def __init__(self, path: str, settings: Sampling, stops: frozenset[int]) -> None:
        device = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else torch.device("cpu")
        model = load_model(CAUSAL_LM, find_model(path), path, dtype=getattr(torch, settings.dtype))
        self._begin(model.to(device).eval(), settings, stops)

    @classmethod
    def around(cls, model: Any, settings: Sampling, stops: frozenset[int]) -> TransformersEngine:
        """Samples with a model that is in memory already, as it is at each call.

        Args:
            model: A causal language model, in evaluation mode; an adapter may be on it.
            settings: How responses are sampled; the model's own type counts, not `dtype`.
            stops: Tokens that end a response.
        """
        engine = cls.__new__(cls)
        engine._begin(model, settings, stops)
        return engine

    def _begin(self, model: Any, settings: Sampling, stops: frozenset[int]) -> None:
        self._model = model
        self._settings = settings
        self._stops = torch.tensor(sorted(stops), device=model.device)

    def close(self) -> None:
        """Frees the model's memory."""
        del self._model
        give_back_memory()

    @torch.inference_mode()
    def sample(self, requests: Sequence[Request]) -> list[list[Response]]:
        """Returns for each request one response a seed, in their order."""
        found: dict[int, list[Response]] = {}
        for batch in self._batches(requests):
            found |= dict(zip(batch, self._together([requests[index] for index in batch]), strict=True))
        return [found[index] for index in range(len(requests))]

    def _batches(self, requests: Sequence[Request]) -> Iterator[list[int]]:
        """Indices of prompts of like length, so that little is padding; at least one prompt."""
        batch: list[int] = []
        for index in sorted(range(len(requests)), key=lambda index: len(requests[index].ids)):
            if batch and sum(len(requests[i].seeds) for i in (*batch, index)) > self._settings.rows:
                yield batch
                batch = []
            batch.append(index)
        if batch:
            yield batch

    def _together(self, requests: Sequence[Request]) -> list[list[Response]]:
        rows = _Rows(requests, self._model.device)
        logits = self._read_prompts(requests, rows)
        while True:
            drawn = draw(logits, rows.uniforms(), self._settings.temperature, self._settings.top_p)
            rows.append(drawn, torch.isin(drawn, self._stops))
            if not rows.alive:
                return rows.responses(requests)
            if rows.ended_share() > _ENDED:
                rows.leave_out_ended()
            logits = self._forward(rows.last, rows.mask, rows.positions, rows.cache)

    def _read_prompts(self, requests: Sequence[Request], rows: _Rows) -> torch.Tensor:
        """Logits [responses, vocabulary] behind each prompt, read once and repeated for its responses."""
        width = max(len(request.ids) for request in requests)
        device = self._model.device
        ids = torch.tensor([[0] * (width - len(r.ids)) + list(r.ids) for r in requests], device=device)
        mask = torch.tensor([[0] * (width - len(r.ids)) + [1] * len(r.ids) for r in requests], device=device)
        rows.cache = DynamicCache(config=self._model.config)
        logits = self._forward(ids, mask, (mask.cumsum(-1) - 1).clamp(min=0), rows.cache)
        repeats = torch.tensor([len(request.seeds) for request in requests], device=device)
        owner = torch.repeat_interleave(torch.arange(len(requests), device=device), repeats)
        rows.cache.batch_select_indices(owner)
        rows.mask = mask[owner]
        return logits[owner]

    def _forward(
        self, ids: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor, cache: DynamicCache
    ) -> torch.Tensor:
        """Logits of the last column, [rows, vocabulary]."""
        out = self._model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        last: torch.Tensor = out.logits[:, -1]
        return last


class _Rows:
    """The responses of one batch: what was drawn, which are still growing, and the cache of those.

    alive: numbers of the responses in the batch, ended ones included until they are left out.
    """

    mask: torch.Tensor
    cache: DynamicCache

    def __init__(self, requests: Sequence[Request], device: torch.device) -> None:
        self._device = device
        self._rooms = [request.room for request in requests for _ in request.seeds]
        self._dice = [np.random.default_rng(seed) for request in requests for seed in request.seeds]
        self._ids: list[list[int]] = [[] for _ in self._rooms]
        self._finished = [False] * len(self._rooms)
        self._batch = list(range(len(self._rooms)))
        self._growing = set(self._batch)
        self.last = torch.empty(0)

    @property
    def alive(self) -> bool:
        return bool(self._growing)

    @property
    def positions(self) -> torch.Tensor:
        return self.mask.sum(-1, keepdim=True) - 1

    def uniforms(self) -> torch.Tensor:
        """A number in [0, 1) for each response in the batch, the next of its own seed."""
        numbers = [self._dice[number].random() for number in self._batch]
        return torch.tensor(numbers, dtype=exact_dtype(self._device), device=self._device)

    def append(self, drawn: torch.Tensor, stops: torch.Tensor) -> None:
        for number, token, stop in zip(self._batch, drawn.tolist(), stops.tolist(), strict=True):
            if number not in self._growing:
                continue
            self._ids[number].append(token)
            self._finished[number] = stop
            if stop or len(self._ids[number]) == self._rooms[number]:
                self._growing.remove(number)
        self.last = drawn[:, None]
        self.mask = torch.cat([self.mask, self.mask.new_ones((len(self._batch), 1))], dim=1)

    def ended_share(self) -> float:
        return 1 - len(self._growing) / len(self._batch)

    def leave_out_ended(self) -> None:
        kept = [place for place, number in enumerate(self._batch) if number in self._growing]
        index = torch.tensor(kept, device=self._device)
        self._batch = [self._batch[place] for place in kept]
        self.mask, self.last = self.mask[index], self.last[index]
        self.cache.batch_select_indices(index)

    def responses(self, requests: Sequence[Request]) -> list[list[Response]]:
        rest = iter(map(Response, map(tuple, self._ids), self._finished))
        return [[next(rest) for _ in request.seeds] for request in requests]


def draw(logits: torch.Tensor, uniforms: torch.Tensor, temperature: float, top_p: float) -> torch.Tensor:
    """A token for each row of `logits` [rows, vocabulary] by inverting the distribution at `uniforms` [rows].

    The nucleus is the smallest set of likeliest tokens with at least `top_p` of the mass.
    """
    if temperature == 0:
        return logits.argmax(-1)
    probs = (logits.float() / temperature).softmax(-1)
    best, order = probs.topk(min(_CANDIDATES, probs.shape[-1]))
    drawn = _invert(best, order, uniforms, top_p)
    wider = best.sum(-1) < top_p  # As always for a top_p of 1.
    if bool(wider.any()):
        drawn[wider] = _invert(*probs[wider].sort(-1, descending=True), uniforms[wider], top_p)
    return drawn


def _invert(best: torch.Tensor, order: torch.Tensor, uniforms: torch.Tensor, top_p: float) -> torch.Tensor:
    """best, order: probabilities, the largest first, and whose they are, [rows, candidates]."""
    best = best.to(uniforms.dtype)
    until = best.cumsum(-1)
    inside = until - best < top_p
    mass = (best * inside).sum(-1, keepdim=True)
    index = torch.searchsorted(until, uniforms[:, None] * mass, right=True)
    return order.gather(-1, index.clamp(max=inside.sum(-1, keepdim=True) - 1))[:, 0]
