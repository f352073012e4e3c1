"""prime-rl: an algorithm whose advantages have the rewards of single tokens in them.

Register it beside prime-rl's own and give a config of type `grpo`. For plain on-policy distillation nothing of ours is
needed: prime-rl's `opd` scores over `/inference/v1/generate`, which the service speaks
(`teacher = {name = "MODEL", base_url = "http://HOST:8383/v1"}`). Read: prime-rl 559b447,
`src/prime_rl/orchestrator/algo/` (`base.py`, `grpo.py`, `routing.py`), and verifiers 0.4.0, `verifiers/v1/graph.py`.
"""

from __future__ import annotations

from typing import Any, ClassVar

from prime_rl.orchestrator.algo.base import iter_trainable_traces
from prime_rl.orchestrator.algo.grpo import GRPOAlgorithm
from prime_rl.orchestrator.algo.routing import assign_advantages
from prime_rl.orchestrator.trajectories import iter_trainable_branches

from tokenreward.integrations.labeler import Labeler


class TokenRewardAlgorithm(GRPOAlgorithm):
    """GRPO with A_{i,t} = A_i + weight * r_{i,t}.

    Every turn that the policy wrote is labeled behind the messages before it. The service's address comes from
    `TOKENREWARD_URL`.

    Attributes:
        labeler: How turns are labeled. Set it on a subclass for another estimator or template.
        weight: The weight of the rewards of tokens.
    """

    labeler: ClassVar[Labeler] = Labeler(on_failure="zero")
    weight: ClassVar[float] = 1.0

    async def score_group(self, episodes: list[Any]) -> None:
        await super().score_group(episodes)
        for _, trace in iter_trainable_traces(episodes):
            turns = _sampled_turns(trace)
            items = [self.item(trace, before, ids) for _, before, ids in turns]
            rewards = await self.labeler.rewards_async(items)
            by_node = {id(node): values for (node, _, _), values in zip(turns, rewards, strict=True)}
            nodes = [node for node in trace.nodes if any(node.mask)]
            assign_advantages(
                trace,
                [
                    outcome + self.weight * reward
                    for node in nodes
                    for outcome, reward in zip(node.advantages, by_node[id(node)], strict=True)
                ],
            )

    def item(self, trace: Any, before: list[dict[str, Any]], ids: list[int]) -> dict[str, Any]:
        """Return one turn as an item; a subclass may add its `context` from `trace.task`."""
        return {"prompt": before, "token_ids": ids}


def _sampled_turns(trace: Any) -> list[tuple[Any, list[dict[str, Any]], list[int]]]:
    """Every node with sampled tokens once, with the messages before it and its sampled ids."""
    found: dict[int, tuple[Any, list[dict[str, Any]], list[int]]] = {}
    for branch, _ in iter_trainable_branches(trace):
        before: list[dict[str, Any]] = []
        for node in branch.nodes:
            if any(node.mask) and id(node) not in found:
                ids = [token for token, sampled in zip(node.token_ids, node.mask, strict=True) if sampled]
                found[id(node)] = (node, list(before), ids)
            before.append(_message(node.message))
    return list(found.values())


def _message(message: Any) -> dict[str, Any]:
    """Return a message of a trace as an item has it, with its thought and its calls."""
    set_fields = {
        "content": message.content,
        "reasoning_content": getattr(message, "reasoning_content", None),
        "tool_calls": [_call(call) for call in getattr(message, "tool_calls", None) or ()],
        "tool_call_id": getattr(message, "tool_call_id", None),
        "name": getattr(message, "name", None),
    }
    found = {name: value for name, value in set_fields.items() if value}
    if found.keys().isdisjoint({"content", "reasoning_content", "tool_calls"}):
        found["content"] = ""
    return {"role": message.role, **found}


def _call(call: Any) -> dict[str, Any]:
    function = {"name": getattr(call, "name", None), "arguments": getattr(call, "arguments", None) or "{}"}
    return {"id": getattr(call, "id", None), "type": "function", "function": function}
