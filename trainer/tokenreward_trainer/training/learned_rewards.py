"""Token rewards that a policy has learned: beta log pi/pi_ref, as its method means it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tokenreward_trainer.data.pair import Values

if TYPE_CHECKING:
    from tokenreward_trainer.training.trainer import PreferenceTrainer


def learned_rewards(trainer: PreferenceTrainer, logps: Values, reference: Values) -> list[float]:
    """Computes the learned reward of each token of one response.

    Args:
        trainer: Its method and beta decide; a length-normalised method divides by |y|.
        logps: The response's log-probs under the policy.
        reference: The same under the reference.
    """
    scale = trainer.hyper.beta / (len(logps) if trainer.method.length_normalised else 1)
    learned: list[float] = np.asarray(scale * (logps - reference), dtype=float).tolist()
    return learned
