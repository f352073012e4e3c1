"""A pair of completions by hand, in float64 and with rubbish in the padding, for tests of losses."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from tokenreward_trainer.losses import Completions


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def side(
    logps: list[float],
    ref: list[float],
    labels: list[float],
    kl: list[float] | None = None,
    collision: list[float] | None = None,
    padding: int = 0,
) -> Completions:
    """One completion, as a batch of one."""

    def grid(values: list[float]) -> Tensor:
        return torch.tensor([values + [-99.0] * padding], dtype=torch.float64)

    return Completions(
        logps=grid(logps).requires_grad_(),
        mask=torch.tensor([[True] * len(logps) + [False] * padding]),
        ref_logps=grid(ref),
        token_rewards=grid(labels),
        kl=grid(kl or [0.0] * len(logps)).requires_grad_(),
        log_collision=grid(collision or [0.0] * len(logps)),
        teacher_logps=grid([-0.5 * n for n in range(1, len(logps) + 1)]),
        reference_point=torch.tensor(0.05, dtype=torch.float64),
    )


CHOSEN = side([-1.0, -2.0, -0.5], [-1.5, -1.0, -1.0], [0.4, -0.2, 0.1], [0.2, 0.1, 0.3], [-0.5, -1.5, -0.1])
REJECTED = side([-0.7, -1.2], [-0.9, -0.9], [-0.3, 0.2], [0.4, 0.5], [-0.6, -0.8], padding=1)
#: The sums of log pi/pi_ref of both.
A_W, A_L = (-3.5) - (-3.5), (-1.9) - (-1.8)


def grads(value: Tensor, *inputs: Tensor) -> list[Tensor]:
    """The gradients of a sum; zeros where an input has no part in it."""
    found = torch.autograd.grad(value.sum(), inputs, retain_graph=True, allow_unused=True)
    return [torch.zeros_like(i) if g is None else g for g, i in zip(found, inputs, strict=True)]
