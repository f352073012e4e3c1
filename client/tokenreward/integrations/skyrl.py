"""SkyRL: a generator around yours, whose rewards are one for each token.

    class Experiment(BasePPOExp):
        def get_generator(self, cfg, tokenizer, inference_engine_client):
            return TokenRewardGenerator(super().get_generator(cfg, tokenizer, inference_engine_client), Labeler())

Read: SkyRL 0.3.0, `skyrl/train/generators/base.py` (`GeneratorOutput.rewards`: a number for each response, or a list
for each) and `skyrl/train/utils/trainer_utils.py` (`validate_generator_output`).
"""

from __future__ import annotations

from typing import Any

from tokenreward.errors import BadInput
from tokenreward.integrations.labeler import Labeler


class TokenRewardGenerator:
    """Generates as another generator does, and labels every response. It has the interface `GeneratorInterface`.

    Args:
        inner: The generator that writes the responses.
        labeler: How they are labeled.
        weight: The weight of the rewards of tokens beside the reward of the whole response, which the last token that
            the model wrote keeps.
    """

    def __init__(self, inner: Any, labeler: Labeler, weight: float = 1.0) -> None:
        self._inner = inner
        self._labeler = labeler
        self._weight = weight

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def generate(self, input_batch: Any, *arguments: Any, **named: Any) -> Any:
        """Return the inner generator's output with rewards of tokens, in the order of its responses.

        Raises:
            BadInput: The responses are not one for each prompt, as in step-wise training.
        """
        output = await self._inner.generate(input_batch, *arguments, **named)
        prompts, responses = input_batch["prompts"], output["response_ids"]
        if len(prompts) != len(responses):
            raise BadInput(f"{len(responses)} responses for {len(prompts)} prompts: step-wise training is not labeled")
        extras = input_batch.get("env_extras") or [{}] * len(prompts)
        scored = [n for n, ids in enumerate(responses) if ids]
        items = [{"prompt": prompts[n], "token_ids": responses[n], **self.item_fields(extras[n])} for n in scored]
        rewards = await self._labeler.rewards_async(items)
        found: list[list[float]] = [[] for _ in responses]
        for n, values in zip(scored, rewards, strict=True):
            found[n] = self._with_outcome(output["rewards"][n], values, output["loss_masks"][n])
        return {**output, "rewards": found}

    def item_fields(self, extras: dict[str, Any]) -> dict[str, Any]:
        """Return further fields of an item, such as its `context`, from the row's `env_extras`."""
        return {}

    def _with_outcome(self, outcome: float | list[float], rewards: list[float], mask: list[int]) -> list[float]:
        scores = [self._weight * reward if own else 0.0 for reward, own in zip(rewards, mask, strict=True)]
        if isinstance(outcome, list):
            return [score + other for score, other in zip(scores, outcome, strict=True)]
        last = max((n for n, own in enumerate(mask) if own), default=len(mask) - 1)
        scores[last] += float(outcome)
        return scores
