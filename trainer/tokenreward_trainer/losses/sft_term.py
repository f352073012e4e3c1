"""The SFT term of the paper's "DPO-SFT on y_w" ablation (T-REG, arXiv 2412.02685, sec. 4.2).

The paper does not say whether its term is a sum or a mean over tokens; ours is the mean, so that its weight means
the same at every length.
"""

from __future__ import annotations

from torch import Tensor

from tokenreward_trainer.losses.base import Completions


def sft_term(chosen: Completions) -> Tensor:
    """Computes -mean_t l_t of each chosen completion, `[B]`, differentiable (arXiv 2412.02685, sec. 4.2)."""
    return -chosen.mean(chosen.logps)
