"""The rows of responses, for vLLM's V1 model runner.

V1 returns prompt log-probs of every row of a prompt, counts ranks for them, and hands them on as Python lists. It has
no moments and takes no ids by name. So requests do not ask it for prompt log-probs. Behind each step the response's
rows of all requests go through the LM head here, together, and the columns travel where V2 puts the scores of named
ids. The module lives in vLLM's worker process (`extension`). To be removed with V1.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import torch

from tokenreward_workers.engines.logit_columns import columns_of_logits
from tokenreward_workers.engines.vllm.wanted_arguments import read_arguments
from tokenreward_workers.wanted import Wanted

#: Rows that go through the LM head at a time.
_ROWS = 1024


@dataclass(slots=True)
class _Scored:
    """The rows of one request.

    targets: int64 `[T]`.  named: int64 `[T, N]` or None.  columns: float32 `[T, width]`.
    due: the prompt's row that comes next. Rows before it are there.
    """

    first: int
    due: int
    wanted: Wanted
    targets: torch.Tensor
    named: torch.Tensor | None
    columns: torch.Tensor


@dataclass(frozen=True, slots=True)
class _Piece:
    """Rows of one request that a step computed: `[at, until)` of its prompt, `place` in the step's hidden states."""

    scored: _Scored
    at: int
    until: int
    place: int


class V1Rows:
    """Stands between a V1 model runner and its results."""

    def __init__(self, runner: Any) -> None:
        self._runner = runner
        self._their_logprobs = runner._get_prompt_logprobs_dict
        self._their_sampling = runner.sample_tokens
        self._scored: dict[str, _Scored] = {}
        self._done: dict[str, torch.Tensor] = {}

    def install(self) -> None:
        """Let the runner call us instead of what we call for it."""
        self._runner._get_prompt_logprobs_dict = self._prompt_logprobs
        self._runner.sample_tokens = self._sample_tokens

    def _prompt_logprobs(self, hidden_states: torch.Tensor, scheduled: dict[str, int]) -> Any:
        """Called once in each step, with the states of all its tokens."""
        self._scored = {name: one for name, one in self._scored.items() if name in self._runner.requests}
        pieces: dict[Any, list[_Piece]] = defaultdict(list)
        whole: list[str] = []
        for name, count in scheduled.items():
            self._step(name, count, hidden_states.device, pieces, whole)
        for alike in pieces.values():
            self._fill(alike, hidden_states)
        for name in whole:
            self._done[name] = self._scored.pop(name).columns.cpu()
        return self._their_logprobs(hidden_states, scheduled)

    def _sample_tokens(self, grammar: Any) -> Any:
        output = self._their_sampling(grammar)
        if self._done:
            # On a GPU the results of a step are still on their way, inside of a wrapper.
            getattr(output, "_model_runner_output", output).prompt_token_id_logprobs_dict = self._done
            self._done = {}
        return output

    def _step(
        self, name: str, count: int, device: torch.device, pieces: dict[Any, list[_Piece]], whole: list[str]
    ) -> None:
        """Note which rows of a request this step has computed, and whether they are the last."""
        request = self._runner.requests[name]
        begin = int(request.num_computed_tokens)
        last_row = len(request.prompt_token_ids or ()) - 1  # it predicts the first token that is generated
        asked = read_arguments(request.sampling_params and request.sampling_params.extra_args)
        if asked is None or begin > last_row:
            return
        scored = self._scored.get(name) or self._begun(request.prompt_token_ids, *asked, device)
        self._scored[name] = scored
        end = min(begin + count, last_row)
        # A gap is left where the cache covered rows. They are never computed, and the request gets no answer.
        if begin <= scored.due < end:
            place = int(self._runner.query_start_loc.np[self._runner.input_batch.req_id_to_index[name]])
            wanted = scored.wanted
            alike = (wanted.moments, wanted.top, wanted.named)
            pieces[alike].append(_Piece(scored, scored.due, end, place + scored.due - begin))
            scored.due = end
        if begin + count > last_row and scored.due == last_row:
            whole.append(name)

    def _begun(self, ids: list[int], first: int, wanted: Wanted, device: torch.device) -> _Scored:
        targets = torch.tensor(ids[first + 1 :], device=device)
        named = None if wanted.ids is None else torch.tensor(wanted.ids.array.tolist(), device=device)
        columns = torch.empty(len(targets), wanted.width, dtype=torch.float32, device=device)
        return _Scored(first, first, wanted, targets, named, columns)

    def _fill(self, pieces: list[_Piece], hidden_states: torch.Tensor) -> None:
        """Compute the columns of pieces that want the same."""
        device = hidden_states.device
        index = torch.cat([torch.arange(p.place, p.place + p.until - p.at, device=device) for p in pieces])
        targets = torch.cat([p.scored.targets[p.at - p.scored.first : p.until - p.scored.first] for p in pieces])
        named = [
            p.scored.named[p.at - p.scored.first : p.until - p.scored.first]
            for p in pieces
            if p.scored.named is not None
        ]
        ids = torch.cat(named) if named else None
        found = []
        for at in range(0, len(index), _ROWS):
            rows = slice(at, at + _ROWS)
            logits = self._runner.model.compute_logits(hidden_states[index[rows]])
            here = None if ids is None else ids[rows]
            found.append(columns_of_logits(logits, targets[rows], pieces[0].scored.wanted, here))
        columns = torch.cat(found)
        at = 0
        for piece in pieces:
            length, first = piece.until - piece.at, piece.at - piece.scored.first
            piece.scored.columns[first : first + length] = columns[at : at + length]
            at += length
