"""Run by run, a block of rows at a time, with an additive mask where one is needed: on a CPU, and for soft-capping.

All blocks cut their masks out of one: in its last row a token sees every key, in the row above all but the last key,
and so on. Its height is that of a block and its width that of the longest path, so memory does not grow with the
square of a response.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch.nn.functional import scaled_dot_product_attention

from tokenreward_workers.engines.packed.layout import Call, Layout
from tokenreward_workers.engines.packed.tree import Run

_ROWS = 512
#: Runs of more tokens are read in blocks in any case: on a CPU one of them takes longer than a worker may be silent.
_LONGEST_WHOLE = 4096
#: Bytes of scores that soft-capped attention holds at a time.
_SCORES_BYTES = 64 * 2**20


def attend(call: Call, layout: Layout) -> torch.Tensor:
    """Attend for one block of rows after the other."""
    out = torch.empty_like(call.query[..., :1].expand(*call.query.shape[:3], call.value.shape[-1]))
    longest = max(run.length for run in layout.pack.runs)
    for run in layout.pack.runs:
        keys, values = along(call.key, run), along(call.value, run)
        whole = run.shared == 0 and run.length <= min(_LONGEST_WHOLE, call.window or _LONGEST_WHOLE)
        if whole and call.softcap is None:
            own = call.query[:, :, run.start : run.end]
            out[:, :, run.start : run.end] = _plain(call, own, keys, values, None)
            continue
        for start, end in _blocks(call, run):
            layout.alive()
            # Keys of this block: none after its last row, none before the window of its first.
            last = run.shared + end - run.start
            first = 0 if call.window is None else max(0, run.shared + start - run.start - call.window + 1)
            mask = _mask(call, layout, end - start, last - first, longest)
            attended = (_plain if call.softcap is None else _capped)(
                call, call.query[:, :, start:end], keys[:, :, first:last], values[:, :, first:last], mask
            )
            out[:, :, start:end] = attended
    return out.transpose(1, 2)


def along(states: torch.Tensor, run: Run) -> torch.Tensor:
    """`[1, K, N, D]` -> `[1, K, L, D]`, the states of the run's path."""
    stretches = [states[:, :, start:end] for start, end in run.path]
    return stretches[0] if len(stretches) == 1 else torch.cat(stretches, dim=2)


def _blocks(call: Call, run: Run) -> Iterator[tuple[int, int]]:
    rows = _ROWS
    if call.softcap is not None:
        rows = min(rows, max(1, _SCORES_BYTES // (4 * call.query.shape[1] * run.length)))
    for start in range(run.start, run.end, rows):
        yield start, min(start + rows, run.end)


def _mask(call: Call, layout: Layout, rows: int, keys: int, longest: int) -> torch.Tensor:
    """`[rows, keys]`, 0 where a token sees another and -inf where not: additive and of the queries' type, because a
    boolean one is converted again in every layer."""
    name = (call.window, call.query.dtype)
    if name not in layout.masks:
        height = min(_ROWS, max(run.end - run.start for run in layout.pack.runs))
        width = max(longest if call.window is None else min(longest, call.window + height), height)
        at = torch.arange(width, device=call.query.device)
        behind = at[width - height :, None] - at
        hidden = behind < 0 if call.window is None else (behind < 0) | (behind >= call.window)
        whole = torch.zeros(height, width, dtype=call.query.dtype, device=call.query.device)
        layout.masks[name] = whole.masked_fill_(hidden, -torch.inf)
    whole = layout.masks[name]
    return whole[whole.shape[0] - rows :, whole.shape[1] - keys :]


def _plain(
    call: Call, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor | None
) -> torch.Tensor:
    if query.is_cuda:  # `enable_gqa` with a mask would hold every score in float32 there
        key, value = key.repeat_interleave(call.groups, 1), value.repeat_interleave(call.groups, 1)
    shared_heads = query.shape[1] != key.shape[1]
    return scaled_dot_product_attention(
        query, key, value, attn_mask=mask, is_causal=mask is None, scale=call.scale, enable_gqa=shared_heads
    )


def _capped(
    call: Call, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor
) -> torch.Tensor:
    """Soft-capped scores (Gemma 2, arXiv 2408.00118, section 2), as transformers' eager attention computes them."""
    assert call.softcap is not None
    key, value = key.repeat_interleave(call.groups, 1), value.repeat_interleave(call.groups, 1)
    scores = query @ key.transpose(2, 3) * call.scale
    scores = torch.tanh(scores / call.softcap) * call.softcap + mask
    return scores.softmax(dim=-1, dtype=torch.float32).to(query.dtype) @ value
