"""Where the tokens of a packed row lie if its sequences stand side by side, for one attention call over all of them.

A packed row holds [prompt | chosen | rejected] for each pair. Attention pair by pair takes dozens of small kernels in
each layer, and on an accelerator launching them costs more than computing them. Here every pair becomes two rows,
[prompt | chosen] and [prompt | rejected], padded at their ends, so that one causal attention call does all pairs at
once: causal attention never looks at what comes later, so nobody sees the padding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

#: The most places per place in use. Beyond it, padding costs more than the launches that it saves.
_MAX_PADDING = 2.0


@dataclass(frozen=True, slots=True)
class SideBySide:
    """Index tensors between a packed row of N tokens and 2B padded rows of L places.

    Attributes:
        spread: int64 `[2B, L]`, for each place the row's token that stands there; in the padding, any of the pair's.
        gather: int64 `[N]`, for each token of the row its place in the flattened `[2B * L]` grid. A prompt's tokens
            are read off the row with the chosen completion.
    """

    spread: Tensor
    gather: Tensor


def side_by_side(lengths: Sequence[tuple[int, int, int]]) -> SideBySide | None:
    """Computes the two index tensors on the CPU.

    Args:
        lengths: Tokens of prompt, chosen and rejected completion of each pair, in the order of the packed row.

    Returns:
        The index tensors, or None where the rows differ so much in length that padding would outweigh the gain.
    """
    width = max(prompt + max(chosen, rejected) for prompt, chosen, rejected in lengths)
    used = sum(2 * prompt + chosen + rejected for prompt, chosen, rejected in lengths)
    if 2 * len(lengths) * width > _MAX_PADDING * used:
        return None
    spread, gather, start = [], [], 0
    for number, (prompt, chosen, rejected) in enumerate(lengths):
        middle, end = start + prompt + chosen, start + prompt + chosen + rejected
        # Padding takes one token after the other: adding up many gradients at one place is slow on a GPU.
        first = start + torch.arange(width) % (end - start)
        second = first.clone()
        first[: prompt + chosen] = torch.arange(start, middle)
        second[:prompt] = torch.arange(start, start + prompt)
        second[prompt : prompt + rejected] = torch.arange(middle, end)
        spread += [first, second]
        place = 2 * number * width
        gather.append(torch.arange(place, place + prompt + chosen))
        gather.append(torch.arange(place + width + prompt, place + width + prompt + rejected))
        start = end
    return SideBySide(torch.stack(spread), torch.cat(gather))
