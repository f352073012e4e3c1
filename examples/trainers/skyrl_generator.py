"""SkyRL: a generator around another one. Here the inner one is a few lines that return what they are given.

tokenreward serve &
python examples/trainers/skyrl_generator.py
"""

import asyncio
from typing import Any

from tokenreward.integrations.labeler import Labeler
from tokenreward.integrations.skyrl import TokenRewardGenerator


class Recorded:
    """A generator that has its responses already; in training it is SkyRL's `SkyRLGymGenerator`."""

    async def generate(self, input_batch: dict[str, Any]) -> dict[str, Any]:
        responses = [[19, 33, 17], [19, 33]]
        return {
            "prompt_token_ids": [[1, 2], [1, 2]],
            "response_ids": responses,
            "rewards": [1.0, 0.0],
            "loss_masks": [[1] * len(ids) for ids in responses],
            "rollout_logprobs": None,
        }


batch = {"prompts": [[{"role": "user", "content": "What is 2 + 2?"}]] * 2, "env_extras": None}
output = asyncio.run(TokenRewardGenerator(Recorded(), Labeler(), weight=0.1).generate(batch))
for ids, rewards in zip(output["response_ids"], output["rewards"], strict=True):
    print(ids, rewards)
