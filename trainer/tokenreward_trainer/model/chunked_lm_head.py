"""Per-token log-probs from hidden states, without ever holding [tokens, vocabulary] logits.

The LM head runs on a chunk of tokens at a time; the backward pass computes each chunk's logits again, turns them into
their own gradient in place and adds up the two matrix products. What is kept between the passes is one number a token.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

#: Float32 logits alive at once (64 MiB); a chunk has as many tokens as fit.
CHUNK_ELEMENTS = 1 << 24


@dataclass(frozen=True, slots=True)
class Head:
    """A language model's last step: logits = softcap tanh(scale (h W' + b) / softcap).

    weight: [V, H].  bias: [V] or None.  softcap: None where the model has none.
    """

    weight: Tensor
    bias: Tensor | None = None
    scale: float = 1.0
    softcap: float | None = None

    def logits(self, hidden: Tensor, dtype: torch.dtype) -> Tensor:
        """[n, V], computed in `dtype`, given in at least float32."""
        bias = None if self.bias is None else self.bias.to(dtype)
        logits = F.linear(hidden.to(dtype), self.weight.to(dtype), bias)
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        if self.scale != 1.0:
            logits.mul_(self.scale)
        if self.softcap is not None:
            logits.div_(self.softcap).tanh_().mul_(self.softcap)
        return logits

    def through(self, grad: Tensor, logits: Tensor | None) -> Tensor:
        """The gradient with respect to h W' + b, in place, from that with respect to the logits."""
        if self.softcap is not None:
            assert logits is not None
            grad.mul_(1 - (logits / self.softcap) ** 2)
        return grad if self.scale == 1.0 else grad.mul_(self.scale)


@dataclass(frozen=True, slots=True)
class Reference:
    """The reference model's side of a KL: its hidden states [N, H'] at the same positions, and its head."""

    hidden: Tensor
    head: Head


@dataclass(frozen=True, slots=True)
class TokenScores:
    """What one forward pass says about N tokens; all [N], at least float32.

    logps: differentiable.  log_collision: log sum_v p_v^2, no gradient.  kl: KL(reference || model), differentiable.
    ref_logps: of the same tokens under the reference, no gradient (only with `kl`).
    """

    logps: Tensor
    log_collision: Tensor | None = None
    kl: Tensor | None = None
    ref_logps: Tensor | None = None


def token_scores(
    hidden: Tensor,
    targets: Tensor,
    head: Head,
    *,
    extras: Collection[str] = (),
    reference: Reference | None = None,
    chunk_elements: int = CHUNK_ELEMENTS,
) -> TokenScores:
    """Scores of the next tokens `targets` [N] at hidden states `hidden` [N, H]."""
    chunk = max(1, chunk_elements // head.weight.shape[0])
    assert ("kl" in extras) == (reference is not None)
    logps, collision, kl, ref_logps = _TokenScores.apply(  # type: ignore[no-untyped-call]
        hidden, head.weight, head.bias, targets, head, reference, "log_collision" in extras, chunk
    )
    return TokenScores(logps, collision, kl, ref_logps)


class _TokenScores(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        targets: Tensor,
        head: Head,
        reference: Reference | None,
        want_collision: bool,
        chunk: int,
    ) -> tuple[Tensor, Tensor | None, Tensor | None, Tensor | None]:
        device = hidden.device.type
        # Autocast reaches into a forward pass but not into a backward pass: settle the dtype here, for both.
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else hidden.dtype
        out = torch.promote_types(dtype, torch.float32)
        logps = hidden.new_empty(len(hidden), dtype=out)
        collision = torch.empty_like(logps) if want_collision else None
        kl, ref_logps = (torch.empty_like(logps), torch.empty_like(logps)) if reference else (None, None)

        with torch.autocast(device, enabled=False):
            for rows in _chunks(len(hidden), chunk):
                logits = head.logits(hidden[rows], dtype)
                log_z = logits.logsumexp(-1)
                logps[rows] = _pick(logits, targets[rows]) - log_z
                if reference is not None:
                    assert kl is not None
                    assert ref_logps is not None
                    ref = reference.head.logits(reference.hidden[rows], dtype).log_softmax(-1)
                    ref_logps[rows] = _pick(ref, targets[rows])
                    # sum_v p_ref (log p_ref - log p), with sum_v p_ref = 1 taken out of the log-partition.
                    kl[rows] = (ref.exp() * (ref - logits)).sum(-1) + log_z
                if collision is not None:
                    collision[rows] = (logits.sub_(log_z.unsqueeze(-1)).exp_() ** 2).sum(-1).log()

        ctx.save_for_backward(hidden, weight, bias, targets)
        ctx.head, ctx.reference, ctx.chunk, ctx.dtype = head, reference, chunk, dtype
        ctx.set_materialize_grads(False)
        ctx.mark_non_differentiable(*(x for x in (collision, ref_logps) if x is not None))
        return logps, collision, kl, ref_logps

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        hidden, weight, bias, targets = ctx.saved_tensors
        head: Head = ctx.head
        reference: Reference | None = ctx.reference
        dtype = ctx.dtype
        wide = torch.promote_types(dtype, torch.float32)
        need_hidden, need_weight, need_bias = ctx.needs_input_grad[:3]
        grad_logps, _, grad_kl, _ = grads
        grad_hidden = torch.empty(hidden.shape, dtype=wide, device=hidden.device) if need_hidden else None
        # Summed over chunks in float32: rounding every chunk's product to bfloat16 would bias the sum.
        grad_weight = torch.zeros(weight.shape, dtype=wide, device=weight.device) if need_weight else None
        grad_bias = torch.zeros(bias.shape, dtype=wide, device=bias.device) if need_bias else None

        for rows in _chunks(len(hidden), ctx.chunk):
            logits = head.logits(hidden[rows], dtype)
            capped = logits.clone() if head.softcap is not None else None
            probs = logits.sub_(logits.logsumexp(-1, keepdim=True)).exp_()
            # d log p_y / dz = onehot(y) - p;   d KL(ref || p) / dz = p - p_ref.
            per_token = torch.zeros(len(probs), dtype=wide, device=probs.device)
            if grad_logps is not None:
                per_token -= grad_logps[rows]
            if grad_kl is not None:
                per_token += grad_kl[rows]
            grad = probs.mul_(per_token.unsqueeze(-1))
            if grad_kl is not None:
                assert reference is not None
                ref_probs = reference.head.logits(reference.hidden[rows], dtype).softmax(-1)
                grad.addcmul_(ref_probs, grad_kl[rows].unsqueeze(-1).to(wide), value=-1)
            if grad_logps is not None:
                grad[torch.arange(len(grad), device=grad.device), targets[rows]] += grad_logps[rows].to(wide)
            grad = head.through(grad, capped)
            if grad_bias is not None:
                grad_bias += grad.sum(0)
            grad = grad.to(dtype)
            if grad_hidden is not None:
                grad_hidden[rows] = grad @ weight.to(dtype)
            if grad_weight is not None:
                _add_product(grad_weight, grad.T, hidden[rows].to(dtype))
        return (
            None if grad_hidden is None else grad_hidden.to(hidden.dtype),
            None if grad_weight is None else grad_weight.to(weight.dtype),
            None if grad_bias is None else grad_bias.to(bias.dtype),
            *(None,) * 5,
        )


def _chunks(length: int, size: int) -> list[slice]:
    return [slice(start, min(start + size, length)) for start in range(0, length, size)]


def _pick(values: Tensor, index: Tensor) -> Tensor:
    return values.gather(-1, index.unsqueeze(-1)).squeeze(-1)


def _add_product(total: Tensor, left: Tensor, right: Tensor) -> None:
    """total += left @ right, in total's dtype."""
    if left.dtype == total.dtype:
        total.addmm_(left, right)
    elif total.is_cuda:
        torch.addmm(total, left, right, out_dtype=total.dtype, out=total)
    else:
        total.add_(left @ right)
