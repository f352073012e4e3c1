"""One LM head for the scored rows of all requests of a step, instead of one for each request.

vLLM's V2 runner scores named tokens request by request. A response of fifty tokens then reads the whole head (1 GB at
Llama 3's vocabulary) for fifty rows, and a step of eighty such responses is bound by that. Gathered, they are a few
matrix products of a thousand rows. The module lives in vLLM's worker process (`extension`). To be removed when vLLM
gathers the rows itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from vllm.v1.worker.gpu.sample.logprob import compute_token_logprobs
from vllm.v1.worker.gpu.sample.prompt_logprob import CHUNK_SIZE, PromptLogprobsWorker


class BatchedPromptLogprobs(PromptLogprobsWorker):  # type: ignore[misc]
    """As its base class, row for row, with the LM head on `CHUNK_SIZE` rows of any requests at a time."""

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
        parts: list[tuple[str, Any, int, int, bool]] = []
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
                request.scores = torch.empty_like(request.token_ids, dtype=torch.float32)
            first, last = max(request.start, begin), min(end, prompt_length - 1)
            if first < last:
                rows.append(int(input_batch.query_start_loc_np[i]) - begin + np.arange(first, last))
            parts.append((name, request, first, max(first, last), end >= prompt_length))
        scores = self._scores(logits_fn, hidden_states, rows, parts) if rows else None
        done: dict[str, torch.Tensor] = {}
        at = 0
        for name, request, first, last, finished in parts:
            if first < last:
                assert scores is not None
                own = scores[at : at + last - first]
                at += last - first
                if finished and first == request.start:
                    request.scores = own  # all rows in one step: no copy
                else:
                    request.scores[first - request.start : last - request.start] = own
            if finished:
                done[name] = request.scores
                self.token_id_scores.pop(name)
        return done

    def _scores(
        self,
        logits_fn: Callable[[torch.Tensor], torch.Tensor],
        hidden_states: torch.Tensor,
        rows: list[np.ndarray],
        parts: list[tuple[str, Any, int, int, bool]],
    ) -> torch.Tensor:
        """Log-probs float32 `[R, 1]` of the named tokens at `rows` of the step's hidden states."""
        index = torch.from_numpy(np.concatenate(rows))
        if hidden_states.is_cuda:
            index = index.pin_memory().to(hidden_states.device, non_blocking=True)
        wanted = [request.token_ids[a - request.start : b - request.start] for _, request, a, b, _ in parts if a < b]
        targets = torch.cat(wanted)
        raw = self.logprobs_mode in ("raw_logits", "processed_logits")
        scores = torch.empty(targets.shape, dtype=torch.float32, device=hidden_states.device)
        for at in range(0, len(targets), CHUNK_SIZE):
            chunk = slice(at, at + CHUNK_SIZE)
            logits = logits_fn(hidden_states[index[chunk]])
            scores[chunk] = logits.gather(-1, targets[chunk]) if raw else compute_token_logprobs(logits, targets[chunk])
        return scores
