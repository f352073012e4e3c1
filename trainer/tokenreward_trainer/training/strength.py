"""How strong the regulariser is: its factor alpha, as it is and in standard deviations of the labels.

Labels differ in size: those of the paper's prompt vary ten times less on a small model than on a large one. The same
alpha then means another thing. `reg_scale = "labels"` fixes alpha times the standard deviation instead of alpha.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tokenreward.errors import BadInput
from tokenreward_trainer.data.pair import Pair
from tokenreward_trainer.training.config import PreferenceConfig


@dataclass(frozen=True, slots=True)
class Strength:
    """The regulariser's strength in one training.

    Attributes:
        alpha: The factor on L_reg (T-REG, arXiv 2412.02685, eq. 2); 0 leaves it out.
        label_std: The standard deviation of the token rewards that it was found for; None without labels.
    """

    alpha: float
    label_std: float | None

    @property
    def in_stds(self) -> float | None:
        """alpha times the standard deviation: how hard an ordinary label pulls, beside w beta."""
        return None if self.label_std is None else self.alpha * self.label_std


def strength_of(args: PreferenceConfig, pairs: Sequence[Pair]) -> Strength:
    """Finds the strength that the options ask for.

    Args:
        args: The options.
        pairs: The training pairs, both sides of which count, or the held-out ones where nothing is trained.

    Raises:
        BadInput: All token rewards are equal, so that nothing can be measured in their standard deviation.
    """
    std = label_std(pairs)
    if args.reg_scale == "absolute" or args.reg_alpha == 0:
        return Strength(args.reg_alpha, std)
    if not std:
        raise BadInput("reg_scale = 'labels': all token rewards are equal, so they have no scale: use other labels")
    return Strength(args.reg_alpha / std, std)


def label_std(pairs: Sequence[Pair]) -> float | None:
    """Returns the standard deviation of the token rewards that count, over both sides; None without labels."""
    rows = [
        labels[counts]
        for pair in pairs
        for labels, counts in zip((pair.chosen_token_rewards, pair.rejected_token_rewards), pair.counted, strict=True)
        if labels is not None
    ]
    return float(np.concatenate(rows).std(dtype=np.float64)) if rows else None
