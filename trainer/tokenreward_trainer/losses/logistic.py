"""The logistic loss of a margin, with label smoothing, and the factor in its own gradient.

Label smoothing says that a pair is labeled the wrong way round with probability epsilon: conservative DPO (Mitchell
2023, "A note on DPO with noisy preferences", eq. 3), which TRL's CPO and SimPO have too.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def logistic(margin: Tensor, smoothing: float) -> tuple[Tensor, Tensor]:
    """Computes -(1 - e) log sigmoid(m) - e log sigmoid(-m) and the weight of its gradient.

    The gradient with respect to m is -(sigmoid(-m) - e). Beyond the margin at which that turns round, the weight is 0
    and not negative: a regulariser that was weighed negatively would push every token away from its label.

    Args:
        margin: `[B]`, m, differentiable.
        smoothing: e, in [0, 0.5).

    Returns:
        The loss `[B]`, differentiable, and the weight max(0, sigmoid(-m) - e) `[B]`, without gradient.
    """
    loss, weight = -F.logsigmoid(margin), F.sigmoid(-margin.detach())
    if smoothing == 0:
        return loss, weight
    return (1 - smoothing) * loss - smoothing * F.logsigmoid(-margin), (weight - smoothing).clamp(min=0)
