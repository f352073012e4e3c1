"""From sampled responses to what PPO trains on: old log-probs, rewards, advantages and returns of every token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tokenreward_trainer.data.pair import Pair, Values
from tokenreward_trainer.rto.advantages import gae, whitened
from tokenreward_trainer.rto.reward_shaping import token_rewards
from tokenreward_trainer.rto.rollouts import Rollout
from tokenreward_trainer.rto.settings import Ppo, Rewards


@dataclass(frozen=True, slots=True)
class Experience:
    """One response of T tokens, as the policy that sampled it saw it.

    Attributes:
        response: Prompt and response.
        logps: `[T]`, log-probs under that policy.
        values: `[T]`, what its value head expected.
        advantages: `[T]`, whitened over the iteration.
        returns: `[T]`, what values are trained towards.
    """

    response: Pair
    logps: Values
    values: Values
    advantages: Values
    returns: Values


def experiences(
    rollouts: Sequence[Rollout],
    scored: Sequence[tuple[Values, Values]],
    ref_logps: Sequence[Values],
    dense: Sequence[Values | None],
    rewards: Rewards,
    ppo: Ppo,
) -> tuple[list[Experience], dict[str, float]]:
    """Gives every token its advantage.

    Args:
        rollouts: The responses.
        scored: Of each, log-probs and values under the policy that sampled.
        ref_logps: Of each, log-probs under the reference.
        dense: Of each, the dense rewards.
        rewards: How rewards are put together.
        ppo: gamma and lambda.

    Returns:
        The experiences, in the order of the responses, and what is known of them, by name.
    """
    given = [
        token_rewards(extra, logps, reference, rollout.score, rewards)
        for rollout, (logps, _), reference, extra in zip(rollouts, scored, ref_logps, dense, strict=True)
    ]
    found = [gae(row, values, gamma=ppo.gamma, lam=ppo.lam) for row, (_, values) in zip(given, scored, strict=True)]
    advantages = whitened([advantage for advantage, _ in found])
    made = [
        Experience(rollout.response, logps, values, advantage, returns)
        for rollout, (logps, values), advantage, (_, returns) in zip(rollouts, scored, advantages, found, strict=True)
    ]
    return made, _said_of(rollouts, made, ref_logps, given, dense)


def _said_of(
    rollouts: Sequence[Rollout],
    made: Sequence[Experience],
    ref_logps: Sequence[Values],
    given: Sequence[Values],
    dense: Sequence[Values | None],
) -> dict[str, float]:
    """Means over responses, but for values, which are compared token by token."""
    returns, values = (np.concatenate([getattr(e, name) for e in made]) for name in ("returns", "values"))
    known = [row for row in dense if row is not None]
    said = {
        "score": np.mean([rollout.score for rollout in rollouts]),
        "kl": np.mean([(e.logps - ref).sum() for e, ref in zip(made, ref_logps, strict=True)]),
        "reward": np.mean([row.sum() for row in given]),
        "tokens": np.mean([len(e.logps) for e in made]),
        "finished": np.mean([rollout.finished for rollout in rollouts]),
        "value/explained": 1 - (returns - values).var() / returns.var() if returns.var() > 0 else 0.0,
    }
    if known:
        said["dense"] = np.mean([row.sum() for row in known])
    return {name: float(value) for name, value in said.items()}
