"""verl: an agent loop that gives every token its reward, and an advantage estimator that uses them.

The loop is verl's single turn, whose output carries `rm_scores` for every token instead of one score at the end; verl's
trainer takes them as they are (`token_level_scores`). Read: verl 0.9.1, `verl/experimental/agent_loop/agent_loop.py`
(`AgentLoopOutput.as_dict`, `register`) and `verl/trainer/ppo/core_algos.py` (`register_adv_est`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from verl.experimental.agent_loop.agent_loop import AgentLoopOutput, register
from verl.experimental.agent_loop.single_turn_agent_loop import SingleTurnAgentLoop
from verl.trainer.ppo.core_algos import register_adv_est

from tokenreward.integrations.labeler import Labeler


class TokenRewardOutput(AgentLoopOutput):
    """A response with one score for each of its tokens.

    Attributes:
        token_rewards: As many as `response_ids`.
        outcome: What is added to the last token's score.
    """

    token_rewards: list[float]
    outcome: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        output: dict[str, Any] = super().as_dict()
        for name in ("token_rewards", "outcome"):
            output.pop(name, None)
        scores = output["response_mask"].float() * 0
        scores[:] = scores.new_tensor(self.token_rewards)
        scores[-1] += self.outcome
        output["rm_scores"] = scores
        return output


@register("tokenreward_single_turn")
class TokenRewardAgentLoop(SingleTurnAgentLoop):
    """verl's single turn, labeled by a tokenreward service.

    Set `actor_rollout_ref.rollout.agent.default_agent_loop=tokenreward_single_turn`, and import this module where verl
    loads your code (`agent_loop_config_path`). The service's address comes from `TOKENREWARD_URL`.

    Attributes:
        labeler: How responses are labeled. Set it on a subclass for another estimator or template.
    """

    labeler = Labeler(on_failure="zero")

    async def run(self, sampling_params: dict[str, Any], **kwargs: Any) -> AgentLoopOutput:
        output = await super().run(sampling_params, **kwargs)
        item = {"prompt": list(kwargs["raw_prompt"]), "token_ids": output.response_ids, **self.item_fields(kwargs)}
        (rewards,) = await self.labeler.rewards_async([item])
        known = {name: getattr(output, name) for name in output.model_fields_set}
        return TokenRewardOutput(**known, token_rewards=rewards, outcome=self.outcome(output, kwargs))

    def item_fields(self, row: dict[str, Any]) -> dict[str, Any]:
        """Return further fields of a row's item, such as its `context`."""
        return {}

    def outcome(self, output: AgentLoopOutput, row: dict[str, Any]) -> float:
        """Return the reward of the whole response, which the last token gets."""
        return 0.0


def token_advantage(
    token_level_rewards: Any, response_mask: Any, index: Any = None, config: Any = None, **_: Any
) -> tuple[Any, Any]:
    """Return advantages of single tokens: each reward, less the mean of its group's tokens.

    A_{i,t} = r_{i,t} - mean over all tokens of the responses to the same prompt.

    Args:
        token_level_rewards: float `[B, T]`.
        response_mask: `[B, T]`, 1 for the tokens that the model wrote.
        index: Names each response's prompt; None makes one group of all.
        config: Not read.

    Returns:
        Advantages and returns, which are the same, float `[B, T]`.
    """
    names = np.zeros(len(token_level_rewards)) if index is None else np.asarray(index)
    advantages = token_level_rewards.clone()
    for name in set(names.tolist()):
        rows = np.flatnonzero(names == name).tolist()
        mask = response_mask[rows]
        mean = (token_level_rewards[rows] * mask).sum() / mask.sum().clamp(min=1)
        advantages[rows] -= mean
    advantages = advantages * response_mask
    return advantages, advantages


register_adv_est("tokenreward")(token_advantage)
