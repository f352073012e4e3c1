"""Per-token log-probs from hidden states, without ever holding [tokens, vocabulary] logits.

The LM head runs on a chunk of tokens at a time; the backward pass computes each chunk's logits again, turns them into
their own gradient in place and adds up the two matrix products. What is kept between the passes is one number a token.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tokenreward_trainer.model.devices import logit_rows
from tokenreward_trainer.model.lm_head import Head


@dataclass(frozen=True, slots=True)
class Reference:
    """The reference model's side of a KL divergence.

    Attributes:
        hidden: `[N, H']`, its hidden states at the same positions.
        head: Its LM head.
    """

    hidden: Tensor
    head: Head


@dataclass(frozen=True, slots=True)
class TokenScores:
    """What one forward pass says about N tokens. All tensors but the last two are `[N]`, all are at least float32.

    Attributes:
        logps: Log-probs of the tokens, differentiable.
        log_collision: log sum_v p_v^2 at each position, without gradient.
        kl: KL(reference || model) at each position, differentiable.
        ref_logps: Log-probs of the same tokens under the reference, without gradient; only together with `kl`.
        candidates: `[N, K]`, log-probs of K other tokens at each position, differentiable.
        router_loss: Of a mixture of experts, its load-balancing loss: one number, differentiable.
    """

    logps: Tensor
    log_collision: Tensor | None = None
    kl: Tensor | None = None
    ref_logps: Tensor | None = None
    candidates: Tensor | None = None
    router_loss: Tensor | None = None


def token_scores(
    hidden: Tensor,
    targets: Tensor,
    head: Head,
    *,
    extras: Collection[str] = (),
    reference: Reference | None = None,
    candidates: Tensor | None = None,
    chunk_rows: int | None = None,
) -> TokenScores:
    """Scores the next tokens at N positions.

    Args:
        hidden: `[N, H]`, the model's last hidden states.
        targets: int64 `[N]`, the tokens to score.
        head: The model's LM head.
        extras: Which of "log_collision" and "kl" to compute beside the log-probs; "router" is not the head's affair.
        reference: The reference model's side, with "kl" and only then.
        candidates: int64 `[N, K]`, more tokens to score at each position.
        chunk_rows: Positions whose logits are held at once; None leaves it to the device.

    Returns:
        The scores, in the order of `targets`.
    """
    chunk = logit_rows(head.weight.shape[0], hidden.device) if chunk_rows is None else chunk_rows
    assert ("kl" in extras) == (reference is not None)
    logps, collision, kl, ref_logps, of_candidates = _TokenScores.apply(  # type: ignore[no-untyped-call]
        hidden, head.weight, head.bias, targets, head, reference, "log_collision" in extras, chunk, candidates
    )
    return TokenScores(logps, collision, kl, ref_logps, of_candidates)


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
        candidates: Tensor | None,
    ) -> tuple[Tensor, Tensor | None, Tensor | None, Tensor | None, Tensor | None]:
        device = hidden.device.type
        # Autocast reaches into a forward pass but not into a backward pass: settle the dtype here, for both.
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else hidden.dtype
        out = torch.promote_types(dtype, torch.float32)
        logps = hidden.new_empty(len(hidden), dtype=out)
        log_z = torch.empty_like(logps)
        collision = torch.empty_like(logps) if want_collision else None
        kl, ref_logps = (torch.empty_like(logps), torch.empty_like(logps)) if reference else (None, None)
        of_candidates = None if candidates is None else logps.new_empty(candidates.shape)
        own = head.to(dtype)
        ref_head = None if reference is None else reference.head.to(dtype)

        with torch.autocast(device, enabled=False):
            for rows in _chunks(len(hidden), chunk):
                logits = own.logits(hidden[rows])
                log_z[rows] = logits.logsumexp(-1)
                logps[rows] = _pick(logits, targets[rows]) - log_z[rows]
                if of_candidates is not None:
                    assert candidates is not None
                    of_candidates[rows] = logits.gather(-1, candidates[rows]) - log_z[rows].unsqueeze(-1)
                if reference is not None:
                    assert ref_head is not None
                    assert kl is not None
                    assert ref_logps is not None
                    ref = ref_head.logits(reference.hidden[rows]).log_softmax(-1)
                    ref_logps[rows] = _pick(ref, targets[rows])
                    # sum_v p_ref (log p_ref - log p), with sum_v p_ref = 1 taken out of the log-partition.
                    kl[rows] = (ref.exp() * (ref - logits)).sum(-1) + log_z[rows]
                if collision is not None:
                    collision[rows] = (logits.sub_(log_z[rows].unsqueeze(-1)).exp_() ** 2).sum(-1).log()

        ctx.save_for_backward(hidden, weight, bias, targets, log_z)
        ctx.head, ctx.reference, ctx.chunk, ctx.dtype, ctx.candidates = head, reference, chunk, dtype, candidates
        ctx.set_materialize_grads(False)
        ctx.mark_non_differentiable(*(x for x in (collision, ref_logps) if x is not None))
        return logps, collision, kl, ref_logps, of_candidates

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        hidden, weight, bias, targets, log_z = ctx.saved_tensors
        reference: Reference | None = ctx.reference
        dtype = ctx.dtype
        own: Head = ctx.head.to(dtype)
        ref_head = None if reference is None else reference.head.to(dtype)
        wide = torch.promote_types(dtype, torch.float32)
        need_hidden, need_weight, need_bias = ctx.needs_input_grad[:3]
        grad_logps, _, grad_kl, _, grad_candidates = grads
        grad_hidden = torch.empty(hidden.shape, dtype=wide, device=hidden.device) if need_hidden else None
        # Summed over chunks in float32: rounding every chunk's product to bfloat16 would bias the sum.
        grad_weight = torch.zeros(weight.shape, dtype=wide, device=weight.device) if need_weight else None
        grad_bias = torch.zeros(bias.shape, dtype=wide, device=bias.device) if need_bias else None

        for rows in _chunks(len(hidden), ctx.chunk):
            logits = own.logits(hidden[rows])
            capped = logits.clone() if own.softcap is not None else None
            probs = logits.sub_(log_z[rows].unsqueeze(-1)).exp_()
            # d log p_y / dz = onehot(y) - p;   d KL(ref || p) / dz = p - p_ref.
            per_token = torch.zeros(len(probs), dtype=wide, device=probs.device)
            if grad_logps is not None:
                per_token -= grad_logps[rows]
            if grad_kl is not None:
                per_token += grad_kl[rows]
            if grad_candidates is not None:
                per_token -= grad_candidates[rows].sum(-1)
            grad = probs.mul_(per_token.unsqueeze(-1))
            if grad_kl is not None:
                assert reference is not None
                assert ref_head is not None
                ref_probs = ref_head.logits(reference.hidden[rows]).softmax(-1)
                grad.addcmul_(ref_probs, grad_kl[rows].unsqueeze(-1).to(wide), value=-1)
            if grad_logps is not None:
                grad.scatter_add_(1, targets[rows].unsqueeze(1), grad_logps[rows].unsqueeze(1).to(wide))
            if grad_candidates is not None:
                grad.scatter_add_(-1, ctx.candidates[rows], grad_candidates[rows].to(wide))
            grad = own.through(grad, capped)
            if grad_bias is not None:
                grad_bias += grad.sum(0)
            grad = grad.to(dtype)
            if grad_hidden is not None:
                grad_hidden[rows] = grad @ own.weight
            if grad_weight is not None:
                _add_product(grad_weight, grad.T, hidden[rows].to(dtype))
        return (
            None if grad_hidden is None else grad_hidden.to(hidden.dtype),
            None if grad_weight is None else grad_weight.to(weight.dtype),
            None if grad_bias is None else grad_bias.to(bias.dtype),
            *(None,) * 6,
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
