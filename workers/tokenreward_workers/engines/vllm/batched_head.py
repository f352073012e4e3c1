"""One LM head for the scored rows of all requests of a step, instead of one for each request; and what is wanted of
those rows beside log-probs, which vLLM does not have.

vLLM's V2 runner scores named tokens request by request. A response of fifty tokens then reads the whole head (1 GB at
Llama 3's vocabulary) for fifty rows, and a step of eighty such responses is bound by that. Gathered, they are a few
matrix products of a thousand rows. The module lives in vLLM's worker process (`extension`). To be removed when vLLM
gathers the rows itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from vllm.v1.worker.gpu.sample.logprob import compute_token_logprobs
from vllm.v1.worker.gpu.sample.prompt_logprob import CHUNK_SIZE, PromptLogprobsWorker

from tokenreward_workers.engines.logit_columns import columns_of_logits
from tokenreward_workers.engines.vllm.wanted_arguments import read_arguments
from tokenreward_workers.wanted import NOTHING, Wanted


@dataclass(frozen=True, slots=True)
class _Part:
    """The rows of one request in one step: `[first, last)` of its prompt. finished: whether they are its last ones."""

    name: str
    request: Any
    first: int
    last: int
    finished: bool

    @property
    def own(self) -> slice:
        """The same rows, counted from the first one that is scored."""
        return slice(self.first - self.request.start, self.last - self.request.start)


class BatchedPromptLogprobs(PromptLogprobsWorker):  # type: ignore[misc]
    """As its base class, row for row, with the LM head on `CHUNK_SIZE` rows of any requests at a time."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._wanted: dict[str, tuple[Wanted, torch.Tensor | None]] = {}

    def add_request(self, req_id: str, req_idx: int, sampling_params: Any) -> None:
        super().add_request(req_id, req_idx, sampling_params)
        asked = read_arguments(sampling_params.extra_args)
        if asked is not None:
            _, wanted = asked
            named = None
            if wanted.ids is not None:
                named = torch.from_numpy(wanted.ids.array.astype(np.int64)).to(self.device)
            self._wanted[req_id] = wanted, named

    def remove_request(self, req_id: str) -> None:
        super().remove_request(req_id)
        self._wanted.pop(req_id, None)

    def compute_prompt_token_id_logprobs(
        self,
        logits_fn: Callable[[torch.Tensor], torch.Tensor],
        hidden_states: torch.Tensor,
        input_batch: Any,
        prompt_lens: np.ndarray,
    ) -> dict[str, torch.Tensor]:
        if not self.token_id_scores:
            return {}
        if any(request.token_ids.shape[1] != 1 for request in self.token_id_scores.values()):
            found: dict[str, torch.Tensor] = super().compute_prompt_token_id_logprobs(
                logits_fn, hidden_states, input_batch, prompt_lens
            )
            return found
        rows: list[np.ndarray] = []
        parts: list[_Part] = []
        for i, name in enumerate(input_batch.req_ids):
            request = self.token_id_scores.get(name)
            if request is None:
                continue
            prompt_length = int(prompt_lens[input_batch.idx_mapping_np[i]])
            begin = int(input_batch.num_computed_prefill_tokens_np[i])
            end = begin + int(input_batch.num_scheduled_tokens[i])
            late = request.scores is None and begin > request.start  # rows before `begin` would never be written
            if begin >= prompt_length or prompt_length < input_batch.prefill_len_np[i] or late:
                self.token_id_scores.pop(name)
                continue
            if request.scores is None:
                wanted, _ = self._wanted.get(name, (NOTHING, None))
                size = len(request.token_ids), wanted.width
                request.scores = torch.empty(size, dtype=torch.float32, device=request.token_ids.device)
            first, last = max(request.start, begin), min(end, prompt_length - 1)
            if first < last:
                rows.append(int(input_batch.query_start_loc_np[i]) - begin + np.arange(first, last))
            parts.append(_Part(name, request, first, max(first, last), end >= prompt_length))
        if rows:
            self._fill(logits_fn, hidden_states, rows, [part for part in parts if part.first < part.last])
        done: dict[str, torch.Tensor] = {}
        for part in parts:
            if part.finished:
                done[part.name] = part.request.scores
                self.token_id_scores.pop(part.name)
        return done

    def _fill(
        self,
        logits_fn: Callable[[torch.Tensor], torch.Tensor],
        hidden_states: torch.Tensor,
        rows: list[np.ndarray],
        parts: list[_Part],
    ) -> None:
        """Write the scores of every part, whose rows of the step's hidden states are `rows`."""
        index = torch.from_numpy(np.concatenate(rows))
        if hidden_states.is_cuda:
            index = index.pin_memory().to(hidden_states.device, non_blocking=True)
        targets = torch.cat([part.request.token_ids[part.own] for part in parts])
        raw = self.logprobs_mode in ("raw_logits", "processed_logits")
        scores = torch.empty(targets.shape, dtype=torch.float32, device=hidden_states.device)
        for at in range(0, len(targets), CHUNK_SIZE):
            chunk = slice(at, at + CHUNK_SIZE)
            logits = logits_fn(hidden_states[index[chunk]])
            scores[chunk] = logits.gather(-1, targets[chunk]) if raw else compute_token_logprobs(logits, targets[chunk])
            if self._wanted:
                self._fill_wanted(logits, at, parts)
        at = 0
        for part in parts:
            if part.name not in self._wanted:
                own = scores[at : at + part.last - part.first]
                if part.finished and part.first == part.request.start:
                    part.request.scores = own  # all rows in one step: no copy
                else:
                    part.request.scores[part.own] = own
            at += part.last - part.first

    def _fill_wanted(self, logits: torch.Tensor, at: int, parts: list[_Part]) -> None:
        """Write the columns of a chunk's rows where more is wanted of them. The first one is row `at` of the step."""
        begin = 0
        for part in parts:
            end = begin + part.last - part.first
            first, last = max(at, begin), min(at + len(logits), end)
            if first < last and part.name in self._wanted:
                wanted, named = self._wanted[part.name]
                own = slice(part.own.start + first - begin, part.own.start + last - begin)
                part.request.scores[own] = columns_of_logits(
                    logits[first - at : last - at],
                    part.request.token_ids[own, 0],
                    wanted,
                    None if named is None else named[own],
                )
            begin = end
