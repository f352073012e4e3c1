"""The forward KL from a teacher to the policy over the teacher's likeliest tokens."""

from __future__ import annotations

from torch import Tensor


def top_forward_kl(logps: Tensor, teacher_logps: Tensor) -> Tensor:
    """Computes sum_k q_k (log q_k - log pi_k) at each of N places.

    q is the teacher's distribution over its K likeliest tokens, made to sum to 1, so that the least value is 0: the
    policy says these tokens and no others, in the teacher's proportions.

    Args:
        logps: `[N, K]`, the policy's log-probs of the teacher's tokens, differentiable.
        teacher_logps: `[N, K]`, the teacher's.

    Returns:
        `[N]`, differentiable; its gradient with respect to log pi_k is -q_k.
    """
    log_q = teacher_logps.to(logps).log_softmax(-1)
    return (log_q.exp() * (log_q - logps)).sum(-1)
