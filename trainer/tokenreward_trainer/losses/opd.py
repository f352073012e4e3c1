"""Offline on-policy distillation: Lightning OPD, arXiv 2604.13010. A teacher's log-probs of what the policy has said.

The teacher's log-probs are labels that were computed once. Without its distribution, each token has the advantage
A_t = log p_T(y_t) - log pi(y_t), and the gradient -A_t dl_t is that of the reverse KL on the policy's own samples. With
the teacher's k likeliest tokens at each place, the loss is the forward KL over them.
"""

from __future__ import annotations

from tokenreward_trainer.losses.base import Completions, Hyperparameters, Method, PairLoss


def opd(chosen: Completions, rejected: Completions, hyper: Hyperparameters) -> PairLoss:
    """Computes sum_t (l_t - log p_T(y_t))^2 / 2, or sum_t KL_k(p_T || pi) where the labels have top k, per response.

    The square's gradient with respect to l_t is -A_t with A_t held fixed (arXiv 2604.13010), and its value says how far
    the policy is from the teacher, which A_t l_t does not. The trainer divides by the tokens of the batch.
    """
    assert chosen.teacher_logps is not None, "distillation needs a teacher's log-probs"
    behind = chosen.logps - chosen.teacher_logps
    loss = chosen.total(behind**2 / 2 if chosen.teacher_kl is None else chosen.teacher_kl)
    rewards = -chosen.mean(behind).detach()
    return PairLoss(loss=loss, chosen_rewards=rewards, rejected_rewards=rewards.new_zeros(rewards.shape), weight=None)


OPD = Method(
    name="opd",
    loss=opd,
    beta=1.0,
    reference=False,
    weighted=False,
    single=True,
    teacher=True,
    options=frozenset({"teacher_kl"}),
)
