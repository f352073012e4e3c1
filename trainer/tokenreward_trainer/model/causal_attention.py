"""Causal attention over whole sequences, with what models add to it: sliding windows, soft caps, grouped queries."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True, slots=True)
class CausalAttention:
    """Plain causal attention as one layer of a model wants it.

    Attributes:
        dropout: The share of attention weights to drop.
        scaling: The factor on query-key products; None is 1/sqrt(D).
        window: A query sees this many tokens back, itself included; None is all of them.
        softcap: Gemma 2's cap c in c tanh(q k' / c); None is no cap.
    """

    dropout: float = 0.0
    scaling: float | None = None
    window: int | None = None
    softcap: float | None = None

    def __call__(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Attends within each row.

        Args:
            query: `[rows, heads, L, D]`.
            key: `[rows, key heads, L, D]`, where the number of key heads divides that of heads.
            value: The same shape as `key`.

        Returns:
            `[rows, heads, L, D]`.
        """
        if self.softcap is not None:
            return self._softcapped(query, key, value, self.softcap)
        mask = self._window_mask(query)
        groups = query.shape[1] // key.shape[1]
        if groups > 1 and query.is_cuda and (mask is not None or query.dtype == torch.float32):
            # Only flash attention takes grouped queries on CUDA, and it takes neither masks nor float32. Without
            # this, PyTorch falls back to the kernel that writes out all L x L weights.
            key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
        return F.scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=mask,
            dropout_p=self.dropout,
            is_causal=mask is None,
            scale=self.scaling,
            enable_gqa=query.shape[1] != key.shape[1],
        )

    def _window_mask(self, query: Tensor) -> Tensor | None:
        """None where plain causal attention is meant, else bool [L, L], True where query i may see key j."""
        length = query.shape[2]
        if self.window is None or length <= self.window:
            return None
        position = torch.arange(length, device=query.device)
        distance = position.unsqueeze(1) - position.unsqueeze(0)
        return (distance >= 0) & (distance < self.window)

    def _softcapped(self, query: Tensor, key: Tensor, value: Tensor, cap: float) -> Tensor:
        """Gemma 2's attention, which no fused kernel does: softmax(cap tanh(q k' / cap)) v."""
        groups = query.shape[1] // key.shape[1]
        key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
        scaling = query.shape[-1] ** -0.5 if self.scaling is None else self.scaling
        scores = cap * torch.tanh(query @ key.transpose(2, 3) * scaling / cap)
        length = query.shape[2]
        allowed = self._window_mask(query)
        if allowed is None:
            allowed = torch.ones(length, length, dtype=torch.bool, device=query.device).tril()
        wide = torch.promote_types(scores.dtype, torch.float32)
        weights = scores.masked_fill(~allowed, -torch.inf).softmax(-1, dtype=wide)
        return F.dropout(weights.to(query.dtype), self.dropout) @ value
