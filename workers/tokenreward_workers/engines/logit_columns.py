"""The columns of a row (`tokenreward_workers.wanted`) computed from logits, a bounded number of rows at a time.

    H = -sum_v p_v log p_v        V = sum_v p_v (log p_v + H)^2

Exact, in float32, over the whole vocabulary.
"""

from __future__ import annotations

import torch

from tokenreward_workers.wanted import Wanted

#: Numbers of a whole vocabulary that are held at a time, beside the logits; three times while moments are computed.
_HELD = 2**22
#: exp of this is 0 in float32, and 0 times this is 0: an id that cannot be adds nothing to a moment.
_NEVER = -1e4


def columns_of_logits(
    logits: torch.Tensor, targets: torch.Tensor, wanted: Wanted, named: torch.Tensor | None
) -> torch.Tensor:
    """Compute the columns of some rows.

    Args:
        logits: `[R, V]`, of any floating type.
        targets: int64 `[R]`, the tokens whose log-probs come first.
        wanted: What is wanted besides.
        named: int64 `[R, N]`, the ids that the caller names at these rows; None if there are none.

    Returns:
        float32 `[R, wanted.width]`, on the same device.
    """
    count, vocabulary = logits.shape
    ids = targets[:, None] if named is None else torch.cat([targets[:, None], named], -1)
    found = torch.empty(count, wanted.width, dtype=torch.float32, device=logits.device)
    step = max(1, _HELD // vocabulary)
    for at in range(0, count, step):
        rows = slice(at, at + step)
        logprobs = logits[rows].log_softmax(-1, dtype=torch.float32)
        given = logprobs.gather(-1, ids[rows])
        found[rows, :1], found[rows, wanted.named_logprobs] = given[:, :1], given[:, 1:]
        if wanted.top:
            best = logprobs.topk(wanted.top)
            found[rows, wanted.top_ids], found[rows, wanted.top_logprobs] = best.indices.float(), best.values
        if wanted.moments:
            found[rows, wanted.moment_columns] = torch.stack(_moments(logprobs), -1)
    return found


def _moments(logprobs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Entropy and variance, float32 `[R]` each. The log-probs are used up."""
    logprobs.clamp_(min=_NEVER)
    p = logprobs.exp()
    entropy = -(p * logprobs).sum(-1)
    variance = logprobs.add_(entropy[:, None]).square_().mul_(p).sum(-1)
    return entropy, variance
