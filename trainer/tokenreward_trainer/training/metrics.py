"""What a run reports beside the loss: sums that add up over micro-batches, accumulation steps and processes.

The sums stay on the device as one tensor. Nothing waits for the device until they are logged.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

import torch
from torch import Tensor

from tokenreward_trainer.losses import Completions
from tokenreward_trainer.model.devices import exact_dtype
from tokenreward_trainer.training.config import PreferenceConfig
from tokenreward_trainer.training.objective import Objective

#: Names of the per-pair means, in the order their sums are kept.
MEANS = (
    "rewards/chosen",
    "rewards/rejected",
    "rewards/margins",
    "rewards/accuracies",
    "logps/chosen",
    "logps/rejected",
    "loss/preference",
    "loss/regularizer",
    "loss/sft",
    "loss/router",
    "weight",
)


class Metrics:
    """Running sums over pairs and over tokens.

    Of pairs it keeps their count and the sums of MEANS. Of tokens it keeps the moments from which the correlation of
    learned token rewards, beta log pi/pi_ref, with the labels is computed over all tokens since the last `collect`.
    """

    def __init__(self) -> None:
        self._sums: Tensor | None = None

    @torch.no_grad()
    def add(self, objective: Objective, chosen: Completions, rejected: Completions, *, beta: float) -> None:
        """Adds the pairs of one part.

        Args:
            objective: The terms of the loss of the part's pairs.
            chosen: The chosen side.
            rejected: The rejected side.
            beta: The factor of learned token rewards.
        """
        pair = objective.preference
        one, zero = torch.ones_like(pair.loss), torch.zeros_like(pair.loss)
        rows = [
            one,  # The count of pairs.
            pair.chosen_rewards,
            pair.rejected_rewards,
            pair.chosen_rewards - pair.rejected_rewards,
            (pair.chosen_rewards > pair.rejected_rewards).to(pair.loss.dtype),
            chosen.total(chosen.logps),
            rejected.total(rejected.logps),
            pair.loss,
            zero if objective.regularizer is None else objective.regularizer,
            zero if objective.sft is None else objective.sft,
            zero if objective.router is None else objective.router,
            zero if pair.weight is None else pair.weight,
        ]
        exact = exact_dtype(pair.loss.device)
        of_pairs = torch.stack(rows).to(exact).sum(-1)
        sums = torch.cat([of_pairs, _moments(chosen, beta, exact) + _moments(rejected, beta, exact)])
        self._sums = sums if self._sums is None else self._sums + sums

    def collect(
        self, over_processes: Callable[[Tensor], Tensor], *, leave_out: Collection[str] = ()
    ) -> dict[str, float]:
        """Computes the means since the last time, then starts anew.

        Args:
            over_processes: Sums a tensor over all processes.
            leave_out: Names of MEANS that this run has no use for.

        Returns:
            The means by name, and `token_rewards/correlation` where it is defined; empty if nothing was added.
        """
        if self._sums is None:
            return {}
        count, *sums = over_processes(self._sums).tolist()
        self._sums = None
        found = {name: total / count for name, total in zip(MEANS, sums, strict=False) if name not in leave_out}
        correlation = _correlation(sums[len(MEANS) :])
        return found if correlation is None else found | {"token_rewards/correlation": correlation}


def unused_metrics(args: PreferenceConfig, *, router: bool = False) -> set[str]:
    """Returns the names of MEANS that would be zero or repeat the loss under these options.

    Args:
        args: The options.
        router: Whether the loss has a mixture of experts' own term.
    """
    if args.chosen_method.single:
        return set(MEANS) - {"logps/chosen"} - ({"rewards/chosen"} if args.chosen_method.teacher else set())
    unused = {"loss/preference"} if args.reg_alpha == args.sft_weight == 0 and not router else set()
    unused |= set() if router else {"loss/router"}
    unused |= set() if args.reg_alpha > 0 else {"loss/regularizer"}
    unused |= set() if args.sft_weight > 0 else {"loss/sft"}
    return unused if args.chosen_method.weighted else unused | {"weight"}


def _moments(side: Completions, beta: float, dtype: torch.dtype) -> Tensor:
    """Count, sums, squares and products of learned rewards x and labels y over the side's tokens, [6].

    Padding is zeroed instead of being selected away: selecting would wait for the device to count.
    """
    if side.token_rewards is None or side.ref_logps is None:
        return torch.zeros(6, dtype=dtype, device=side.mask.device)
    padding = ~side.mask
    x = (beta * (side.logps - side.ref_logps)).to(dtype).masked_fill(padding, 0)
    y = side.token_rewards.to(dtype).masked_fill(padding, 0)
    return torch.stack([side.mask.to(dtype), x, y, x * x, y * y, x * y]).sum((1, 2))


def _correlation(moments: list[float]) -> float | None:
    """Pearson's; None where one side does not vary (before the first step, every learned reward is zero)."""
    n, x, y, xx, yy, xy = moments
    if n == 0:
        return None
    variance_x, variance_y = xx / n - (x / n) ** 2, yy / n - (y / n) ** 2
    if variance_x <= 1e-18 or variance_y <= 1e-18:
        return None
    return float((xy / n - x * y / n**2) / (variance_x * variance_y) ** 0.5)
