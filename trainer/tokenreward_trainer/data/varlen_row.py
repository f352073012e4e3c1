"""Where the sequences of a packed row begin and end, for one variable-length attention call over all of them.

A packed row holds [prompt | chosen | rejected] for each pair. For attention that is two sequences: the queries of
prompt and chosen completion, whose keys are their own, and those of the rejected completion, whose keys are the
prompt's and their own. So the queries lie in the row as they are, and only the keys of each prompt stand twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class VarlenRow:
    """What a variable-length attention kernel must know of a packed row of N tokens in S sequences.

    A sequence with fewer queries than keys attends as its last queries: query i of Q sees the first K - Q + i + 1 of
    the K keys.

    Attributes:
        keys: int64 `[K]`, for each key the token of the row that it is of.
        query_starts: int32 `[S + 1]`, the first query of each sequence, and N.
        key_starts: int32 `[S + 1]`, the first key of each sequence, and K.
        most_queries: The most queries of a sequence.
        most_keys: The most keys of a sequence.
    """

    keys: Tensor
    query_starts: Tensor
    key_starts: Tensor
    most_queries: int
    most_keys: int


def varlen_row(lengths: Sequence[tuple[int, int, int]]) -> VarlenRow:
    """Computes the layout on the CPU.

    Args:
        lengths: Tokens of prompt, chosen and rejected completion of each pair, in the order of the packed row.
    """
    keys, start = [], 0
    for prompt, chosen, rejected in lengths:
        middle, end = start + prompt + chosen, start + prompt + chosen + rejected
        keys.append(torch.arange(start, middle))
        if rejected:  # else a single response
            keys += [torch.arange(start, start + prompt), torch.arange(middle, end)]
        start = end
    queries, sizes = _sizes(lengths)
    query_starts, key_starts = (torch.tensor([0, *each]).cumsum(0).to(torch.int32) for each in (queries, sizes))
    return VarlenRow(torch.cat(keys), query_starts, key_starts, max(queries), max(sizes))


def row_on_device(
    lengths: Sequence[tuple[int, int, int]], keys: Tensor, query_starts: Tensor, key_starts: Tensor
) -> VarlenRow:
    """Puts a layout together again after its tensors were copied to a device."""
    queries, sizes = _sizes(lengths)
    return VarlenRow(keys, query_starts, key_starts, max(queries), max(sizes))


def _sizes(lengths: Sequence[tuple[int, int, int]]) -> tuple[list[int], list[int]]:
    """The number of queries, and that of keys, of each sequence."""
    both = [
        sizes
        for prompt, chosen, rejected in lengths
        for sizes in ((prompt + chosen, prompt + chosen), (rejected, prompt + rejected))
        if sizes[0]
    ]
    return [queries for queries, _ in both], [keys for _, keys in both]
