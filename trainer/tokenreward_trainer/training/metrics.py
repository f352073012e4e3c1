"""What a run reports beside the loss: sums that add up over micro-batches, accumulation steps and processes."""

from __future__ import annotations

from collections.abc import Callable, Collection

import torch
from torch import Tensor

from tokenreward_trainer.losses import Completions, PairLoss
from tokenreward_trainer.model.devices import exact_dtype

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
    "weight",
)


class Metrics:
    """Running sums on the device; nothing waits for the device until `collect`.

    Pairs: count and the sums of MEANS. Tokens: the moments from which the correlation of learned token rewards,
    beta log pi/pi_ref, with the labels is computed over all tokens since the last `collect`.
    """

    def __init__(self) -> None:
        self._pairs: Tensor | None = None
        self._moments: Tensor | None = None

    @torch.no_grad()
    def add(
        self,
        pair: PairLoss,
        chosen: Completions,
        rejected: Completions,
        *,
        beta: float,
        regularizer: Tensor | None,
        sft: Tensor | None,
    ) -> None:
        """regularizer, sft: [B] the terms as they enter the loss, their weights included."""
        zero = torch.zeros_like(pair.loss)
        rows = torch.stack(
            [
                pair.chosen_rewards,
                pair.rejected_rewards,
                pair.chosen_rewards - pair.rejected_rewards,
                (pair.chosen_rewards > pair.rejected_rewards).to(pair.loss.dtype),
                chosen.total(chosen.logps),
                rejected.total(rejected.logps),
                pair.loss.detach(),
                zero if regularizer is None else regularizer.detach(),
                zero if sft is None else sft.detach(),
                zero if pair.weight is None else pair.weight,
            ]
        )
        rows = rows.to(exact_dtype(rows.device))
        sums = torch.cat([rows.new_tensor([rows.shape[1]]), rows.sum(-1)])
        self._pairs = sums if self._pairs is None else self._pairs + sums
        for side in (chosen, rejected):
            if side.labels is not None and side.ref_logps is not None:
                learned = (beta * (side.logps.detach() - side.ref_logps))[side.mask].to(rows.dtype)
                moments = _moments(learned, side.labels[side.mask].to(rows.dtype))
                self._moments = moments if self._moments is None else self._moments + moments

    def collect(
        self, over_processes: Callable[[Tensor], Tensor], *, leave_out: Collection[str] = ()
    ) -> dict[str, float]:
        """The means since the last time, then start anew. `over_processes` sums a tensor over all processes."""
        if self._pairs is None:
            return {}
        count, *sums = over_processes(self._pairs).tolist()
        found = {name: total / count for name, total in zip(MEANS, sums, strict=True) if name not in leave_out}
        if self._moments is not None:
            correlation = _correlation(over_processes(self._moments).tolist())
            if correlation is not None:
                found["token_rewards/correlation"] = correlation
        self._pairs = self._moments = None
        return found


def _moments(x: Tensor, y: Tensor) -> Tensor:
    return torch.stack([x.new_tensor(len(x)), x.sum(), y.sum(), (x * x).sum(), (y * y).sum(), (x * y).sum()])


def _correlation(moments: list[float]) -> float | None:
    """Pearson's; None where one side does not vary (before the first step, every learned reward is zero)."""
    n, x, y, xx, yy, xy = moments
    variance_x, variance_y = xx / n - (x / n) ** 2, yy / n - (y / n) ** 2
    if variance_x <= 1e-18 or variance_y <= 1e-18:
        return None
    return float((xy / n - x * y / n**2) / (variance_x * variance_y) ** 0.5)
