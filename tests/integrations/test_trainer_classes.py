"""The classes for verl and prime-rl, against the installed package where there is one, else its documented parts."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import BaseModel

from benchmarks.harness.stack import Stack, http
from tokenreward.integrations.labeler import Labeler
from tokenreward.schema import Item

RESPONSE = [7, 8, 9, 10]


def expected(stack: Stack, item: dict[str, Any]) -> list[float]:
    answer = http.post(stack.url + "/v1/label", json={"items": [item]}).json()
    rewards: list[float] = answer["results"][0]["rewards"]
    return rewards


@pytest.fixture
def staged(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Puts modules in place of a package that is not installed."""
    ours: set[str] = set()

    def stage(name: str, **content: Any) -> None:
        ours.add(f"tokenreward.integrations.{name.partition('.')[0]}")
        module = ModuleType(name)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)

    yield stage
    for name in ours:  # they hold what was staged
        sys.modules.pop(name, None)


# ---- verl -------------------------------------------------------------------------------------------------


class DocumentedOutput(BaseModel):
    """verl 0.9.1's `AgentLoopOutput`, as far as a response without images needs it."""

    prompt_ids: list[int]
    response_ids: list[int]
    response_mask: list[int]
    reward_score: float | None = None
    num_turns: int = 0
    metrics: dict[str, float] = {}
    extra_fields: dict[str, Any] = {}

    def as_dict(self) -> dict[str, Any]:
        output = self.model_dump(exclude_unset=True)
        output["prompts"] = torch.tensor(output.pop("prompt_ids"), dtype=torch.int64)
        output["responses"] = torch.tensor(output.pop("response_ids"), dtype=torch.int64)
        output["response_mask"] = torch.tensor(output.pop("response_mask"), dtype=torch.int64)
        return output


@pytest.fixture
def verl(staged: Callable[..., None]) -> Any:
    if importlib.util.find_spec("verl") is None:
        keep = lambda name: lambda made: made  # noqa: E731

        class SingleTurn:
            async def run(self, sampling_params: dict[str, Any], **row: Any) -> DocumentedOutput:
                return DocumentedOutput(prompt_ids=[1, 2], response_ids=RESPONSE, response_mask=[1] * 4, metrics={})

        for name in ("verl", "verl.experimental", "verl.experimental.agent_loop", "verl.trainer", "verl.trainer.ppo"):
            staged(name, __path__=[])
        loop = "verl.experimental.agent_loop"
        staged(f"{loop}.agent_loop", AgentLoopOutput=DocumentedOutput, register=keep)
        staged(f"{loop}.single_turn_agent_loop", SingleTurnAgentLoop=SingleTurn)
        staged("verl.trainer.ppo.core_algos", register_adv_est=keep)
    return importlib.import_module("tokenreward.integrations.verl")


def test_verls_loop_gives_every_token_a_score(verl: Any, synthetic: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    async def generated(self: Any, sampling_params: Any, **row: Any) -> Any:
        output = verl.AgentLoopOutput
        return output(prompt_ids=[1, 2], response_ids=RESPONSE, response_mask=[1] * 4, metrics={})

    class Loop(verl.TokenRewardAgentLoop):
        labeler = Labeler(synthetic.url)

        def __init__(self) -> None:
            pass

        def outcome(self, output: Any, row: dict[str, Any]) -> float:
            return 1.0

    monkeypatch.setattr(verl.SingleTurnAgentLoop, "run", generated)
    output = asyncio.run(Loop().run({}, raw_prompt=[{"role": "user", "content": "p"}]))
    fields = output.as_dict()
    rewards = expected(synthetic, {"prompt": "p", "token_ids": RESPONSE})
    rewards[-1] += 1.0
    assert fields["rm_scores"].dtype == torch.float32
    assert fields["rm_scores"].tolist() == pytest.approx(rewards)
    assert fields["responses"].tolist() == RESPONSE
    assert "token_rewards" not in fields


def test_verls_advantages_are_rewards_less_the_mean_of_their_group(verl: Any) -> None:
    rewards = torch.tensor([[1.0, 3.0, 9.0], [2.0, 2.0, 2.0], [5.0, 0.0, 0.0]])
    mask = torch.tensor([[1, 1, 0], [1, 1, 1], [1, 0, 0]])
    advantages, returns = verl.token_advantage(rewards, mask, index=np.array(["a", "a", "b"], dtype=object))
    assert advantages.tolist() == [[-1.0, 1.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    assert torch.equal(advantages, returns)


# ---- prime-rl ---------------------------------------------------------------------------------------------


@dataclass
class Node:
    """What is read of verifiers 0.4's `MessageNode`."""

    role: str
    content: str
    token_ids: list[int]
    mask: list[bool]
    advantages: list[float] | None = None
    sampled: bool = False

    @property
    def message(self) -> Any:
        return SimpleNamespace(role=self.role, content=self.content)


@dataclass
class Trace:
    nodes: list[Node]
    reward: float = 1.0
    id: str = "t"
    branches: list[Any] = field(default_factory=list)


def documented_assign(trace: Trace, values: float | list[float]) -> None:
    """prime-rl's `assign_advantages`: in the order of sampled tokens across the trace."""
    nodes = [node for node in trace.nodes if any(node.mask)]
    total = sum(sum(node.mask) for node in nodes)
    given = [values] * total if isinstance(values, float) else list(values)
    assert len(given) == total
    for node in nodes:
        node.advantages, given = given[: sum(node.mask)], given[sum(node.mask) :]


@pytest.fixture
def prime_rl(staged: Callable[..., None]) -> Any:
    class Grpo:
        def __init__(self, config: Any, policy_pool: Any) -> None:
            pass

        async def score_group(self, episodes: list[Any]) -> None:
            traces = [trace for episode in episodes for trace in episode.traces]
            mean = sum(trace.reward for trace in traces) / len(traces)
            for trace in traces:
                documented_assign(trace, trace.reward - mean)

    for name in ("prime_rl", "prime_rl.orchestrator", "prime_rl.orchestrator.algo"):
        staged(name, __path__=[])
    algo = "prime_rl.orchestrator.algo"
    every = lambda episodes: [(episode, trace) for episode in episodes for trace in episode.traces]  # noqa: E731
    staged(f"{algo}.base", iter_trainable_traces=every)
    staged(f"{algo}.grpo", GRPOAlgorithm=Grpo)
    staged(f"{algo}.routing", assign_advantages=documented_assign)
    branches = lambda trace: [(branch, []) for branch in trace.branches]  # noqa: E731
    staged("prime_rl.orchestrator.trajectories", iter_trainable_branches=branches)
    return importlib.import_module("tokenreward.integrations.prime_rl")


def two_turns(reward: float) -> Trace:
    nodes = [
        Node("user", "2+2?", [1, 2], [False, False]),
        Node("assistant", "4", [3, 7, 8], [False, True, True]),
        Node("user", "sure?", [4], [False]),
        Node("assistant", "yes", [3, 9], [False, True]),
    ]
    return Trace(nodes, reward, branches=[SimpleNamespace(nodes=nodes)])


def test_prime_rls_turns_are_labeled_behind_what_was_said_before(prime_rl: Any, synthetic: Stack) -> None:
    class Algorithm(prime_rl.TokenRewardAlgorithm):
        labeler = Labeler(synthetic.url)
        weight = 0.5

    good, bad = two_turns(1.0), two_turns(0.0)
    asyncio.run(Algorithm(None, None).score_group([SimpleNamespace(traces=[good, bad])]))
    first = expected(synthetic, {"prompt": "2+2?", "token_ids": [7, 8]})
    said = [("user", "2+2?"), ("assistant", "4"), ("user", "sure?")]
    before = [{"role": role, "content": content} for role, content in said]
    second = expected(synthetic, {"prompt": before, "token_ids": [9]})
    assert good.nodes[1].advantages == pytest.approx([0.5 + 0.5 * value for value in first])
    assert good.nodes[3].advantages == pytest.approx([0.5 + 0.5 * value for value in second])
    assert bad.nodes[3].advantages == pytest.approx([-0.5 + 0.5 * value for value in second])


def test_prime_rls_calls_thoughts_and_tools_are_part_of_the_context(prime_rl: Any) -> None:
    call = SimpleNamespace(id="c1", name="add", arguments='{"a": 2}')
    messages = [
        SimpleNamespace(role="user", content="2+2?"),
        SimpleNamespace(role="assistant", content=None, reasoning_content="Add.", tool_calls=[call]),
        SimpleNamespace(role="tool", content="", tool_call_id="c1"),
    ]
    before = [SimpleNamespace(message=message, mask=[False], token_ids=[1]) for message in messages]
    last = Node("assistant", "4", [9], [True])
    trace = SimpleNamespace(branches=[SimpleNamespace(nodes=[*before, last])])
    ((_, said, _),) = prime_rl._sampled_turns(trace)
    function = {"name": "add", "arguments": '{"a": 2}'}
    assert said == [
        {"role": "user", "content": "2+2?"},
        {
            "role": "assistant",
            "reasoning_content": "Add.",
            "tool_calls": [{"id": "c1", "type": "function", "function": function}],
        },
        {"role": "tool", "content": "", "tool_call_id": "c1"},
    ]
    Item.model_validate({"prompt": said, "token_ids": [9]})
