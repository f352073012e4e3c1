"""OpenRLHF's and SkyRL's own code around ours, where their packages are installed; without them nothing is said."""

from __future__ import annotations

import asyncio
import runpy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from benchmarks.harness.stack import Stack, http

EXAMPLES = Path(__file__).parents[2] / "examples" / "trainers"
PROMPT, RESPONSE = "What is 2 + 2?", "It is 4."


def expected(stack: Stack, item: dict[str, Any]) -> list[float]:
    answer = http.post(stack.url + "/v1/label", json={"items": [item]}).json()
    rewards: list[float] = answer["results"][0]["rewards"]
    return rewards


def test_openrlhfs_executor_loads_the_example_and_takes_its_reward(
    synthetic: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = pytest.importorskip("openrlhf.utils.agent", reason="OpenRLHF is not installed")
    monkeypatch.setenv("TOKENREWARD_URL", synthetic.url)

    class Bytes:
        def __call__(self, text: str, **_: Any) -> dict[str, Any]:
            return {"input_ids": torch.tensor([list(text.encode())])}

        def decode(self, ids: list[int], **_: Any) -> str:
            return bytes(ids).decode()

    class Engine:
        async def generate(self, *_: Any, **__: Any) -> Any:
            written = SimpleNamespace(token_ids=list(RESPONSE.encode()), finish_reason="stop", logprobs=None)
            return SimpleNamespace(outputs=[written])

    executor = agent.SingleTurnAgentExecutor(str(EXAMPLES / "openrlhf_reward.py"))
    sampling = SimpleNamespace(max_tokens=32, logprobs=None)
    output = asyncio.run(executor.execute(PROMPT, "4", sampling, 256, Bytes(), Engine()))
    rewards = expected(synthetic, {"prompt": PROMPT, "response": RESPONSE})
    mean = sum(rewards) / len(rewards)
    assert float(output["reward"]) == pytest.approx(mean)
    assert float(output["scores"]) == pytest.approx(mean + 0.5)


def test_skyrl_finds_nothing_wrong_with_the_rewards_of_tokens(
    synthetic: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    utils = pytest.importorskip("skyrl.train.utils.trainer_utils", reason="SkyRL is not installed")
    monkeypatch.setenv("TOKENREWARD_URL", synthetic.url)
    ran = runpy.run_path(str(EXAMPLES / "skyrl_generator.py"), run_name="__main__")
    utils.validate_generator_output(len(ran["batch"]["prompts"]), ran["output"])
