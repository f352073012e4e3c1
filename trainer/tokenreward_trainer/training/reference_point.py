"""KTO's reference point z: how far the policy is from its reference on completions that do not belong to their prompts.

It is one number for the batches of all processes (KTO, arXiv 2402.01306, sec. 4.2), without gradient, as in TRL. So it
depends on how pairs are put into batches, but not on how a batch is cut into parts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from accelerate import Accelerator
from torch import Tensor

from tokenreward_trainer.data.pair import Batch

#: From a part to its log-probs under policy and reference, both `[2B, T]` and zero in the padding.
Scores = Callable[[Batch], tuple[Tensor, Tensor]]


@torch.no_grad()
def reference_point(parts: Sequence[Batch], score: Scores, accelerator: Accelerator) -> Tensor:
    """Computes z = max(0, mean log pi/pi_ref) over the mismatched completions of all processes.

    Args:
        parts: What the collator made of this process's mismatched pairs; none where a batch is one pair.
        score: Scores a part.
        accelerator: Of the training. All processes call this together.

    Returns:
        z, one number; 0 where no process has any.
    """
    sums = torch.zeros(2, device=accelerator.device)
    for part in parts:
        logps, ref_logps = score(part)
        sums += torch.stack([(logps - ref_logps).sum(), sums.new_tensor(len(logps))])
    everywhere: Tensor = accelerator.reduce(sums, "sum")
    return (everywhere[0] / everywhere[1].clamp(min=1)).clamp(min=0)
