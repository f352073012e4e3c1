"""SFT: the likelihood of a response, as in language modelling (Ouyang et al. 2022, arXiv 2203.02155, sec. 3.5).

It trains on single responses: the chosen one of each pair, or a conversation's. Every token of a batch counts alike, so
that a long response counts for more than a short one, as in TRL's SFTTrainer.
"""

from __future__ import annotations

from tokenreward_trainer.losses.base import Completions, Hyperparameters, Method, PairLoss


def sft(chosen: Completions, rejected: Completions, hyper: Hyperparameters) -> PairLoss:
    """Computes -sum_t l_t of each response; the trainer divides by the tokens of the batch."""
    likelihood = chosen.total(chosen.logps)
    nothing = likelihood.detach().new_zeros(likelihood.shape)
    return PairLoss(loss=-likelihood, chosen_rewards=nothing, rejected_rewards=nothing, weight=None)


SFT = Method(name="sft", loss=sft, beta=1.0, reference=False, weighted=False, single=True)
