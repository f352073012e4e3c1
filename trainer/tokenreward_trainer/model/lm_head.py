"""The last step of a language model: from hidden states to logits, with the variants that model families have."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Head:
    """A language model's LM head: logits = softcap tanh(scale (h W' + b) / softcap).

    Attributes:
        weight: `[V, H]`.
        bias: `[V]`, or None.
        scale: The factor on the logits.
        softcap: The soft cap of the logits; None where the model has none.
    """

    weight: Tensor
    bias: Tensor | None = None
    scale: float = 1.0
    softcap: float | None = None

    def to(self, dtype: torch.dtype) -> Head:
        """Returns the head with weight and bias in `dtype`, so that a loop over chunks casts them once."""
        bias = None if self.bias is None else self.bias.to(dtype)
        return replace(self, weight=self.weight.to(dtype), bias=bias)

    def logits(self, hidden: Tensor) -> Tensor:
        """Computes logits in the weight's type.

        Args:
            hidden: `[n, H]`.

        Returns:
            `[n, V]` in at least float32.
        """
        logits = F.linear(hidden.to(self.weight.dtype), self.weight, self.bias)
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        if self.scale != 1.0:
            logits.mul_(self.scale)
        if self.softcap is not None:
            logits.div_(self.softcap).tanh_().mul_(self.softcap)
        return logits

    def through(self, grad: Tensor, logits: Tensor | None) -> Tensor:
        """Turns the gradient with respect to the logits, in place, into that with respect to h W' + b.

        Args:
            grad: `[n, V]`.
            logits: `[n, V]`, needed where there is a soft cap.
        """
        if self.softcap is not None:
            assert logits is not None
            grad.mul_(1 - (logits / self.softcap) ** 2)
        return grad if self.scale == 1.0 else grad.mul_(self.scale)
