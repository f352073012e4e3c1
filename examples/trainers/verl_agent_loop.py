"""verl: the agent loop and the advantage estimator, with a context of your own.

Import this file where verl loads your code, and set

    actor_rollout_ref.rollout.agent.default_agent_loop=token_rewards_with_solution
    algorithm.adv_estimator=tokenreward
"""

from typing import Any

from verl.experimental.agent_loop.agent_loop import AgentLoopOutput, register

from tokenreward.integrations.labeler import Labeler
from tokenreward.integrations.verl import TokenRewardAgentLoop


@register("token_rewards_with_solution")
class WithSolution(TokenRewardAgentLoop):
    """Tokens are rewarded for what the model would say had it seen the solution."""

    labeler = Labeler(estimator="privileged", template="reference", on_failure="zero")

    def item_fields(self, row: dict[str, Any]) -> dict[str, Any]:
        return {"context": {"reference": row["reward_model"]["ground_truth"]}}

    def outcome(self, output: AgentLoopOutput, row: dict[str, Any]) -> float:
        return 0.0
