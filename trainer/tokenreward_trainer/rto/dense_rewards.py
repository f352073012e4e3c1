"""Dense rewards, one number a token: log pi_dpo/pi_ref computed here, or the token rewards of the service."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from torch import nn

from tokenreward.dataset.columns import KWARGS, TOOLS
from tokenreward.errors import BadInput
from tokenreward.http import Client
from tokenreward_trainer.data.pair import BatchLayout, Values
from tokenreward_trainer.model.layout_check import choose_layout
from tokenreward_trainer.rto.rollouts import Rollout
from tokenreward_trainer.rto.settings import Rewards
from tokenreward_trainer.training.live_reference import frozen
from tokenreward_trainer.training.pair_scoring import score_pairs


class DenseRewards(Protocol):
    """Gives every token of some responses a number: higher is better."""

    def of(self, rollouts: Sequence[Rollout], ref_logps: Sequence[Values]) -> list[Values | None]:
        """Returns `[T]` for each response, or None where there are none.

        Args:
            rollouts: The responses.
            ref_logps: Their log-probs under the reference.
        """
        ...


class NoDenseRewards:
    """Plain PPO: the score at the end and the KL are all there is."""

    def of(self, rollouts: Sequence[Rollout], ref_logps: Sequence[Values]) -> list[Values | None]:
        """Returns None for each response."""
        return [None] * len(rollouts)


class DpoRewards:
    """log pi_dpo/pi_ref, the reward that DPO has learned per token (arXiv 2404.18922).

    Args:
        model: The policy that DPO has trained.
        max_tokens: The most tokens of a forward pass.
    """

    def __init__(self, model: nn.Module, max_tokens: int) -> None:
        self._model = frozen(model)
        self._layout: BatchLayout = choose_layout(model, "auto")[0]
        self._max_tokens = max_tokens

    def of(self, rollouts: Sequence[Rollout], ref_logps: Sequence[Values]) -> list[Values | None]:
        """Returns the log-ratio of each response's tokens."""
        pairs = [rollout.response for rollout in rollouts]
        scored = score_pairs(self._model, pairs, layout=self._layout, max_tokens=self._max_tokens)
        return [own - reference for (own, _), reference in zip(scored, ref_logps, strict=True)]


class ServiceRewards:
    """The token rewards of a service that is running, for the very tokens that were sampled.

    Args:
        client: Of the service.
        settings: Which model, template and estimator.
    """

    def __init__(self, client: Client, settings: Rewards) -> None:
        self._client = client
        self._settings = settings

    def of(self, rollouts: Sequence[Rollout], ref_logps: Sequence[Values]) -> list[Values | None]:
        """Returns the service's rewards of each response's tokens.

        Raises:
            BadInput: The service has no rewards for a response, or other ids.
        """
        items = [_item(rollout) for rollout in rollouts]
        settings = self._settings
        answer = self._client.label(
            items,
            model=settings.model,
            template=settings.template,
            estimator=settings.estimator,
            parameters=settings.parameters,
        )
        found: list[Values | None] = []
        for rollout, result in zip(rollouts, answer.results, strict=True):
            if result.error is not None or result.rewards is None:
                why = result.error.message if result.error is not None else "no rewards"
                raise BadInput(f"{rollout.response.id}: the service at {settings.url} has no rewards for it: {why}")
            if result.token_ids != list(rollout.response.chosen):
                raise BadInput(f"{rollout.response.id}: the service has rewards for other token ids than were sampled")
            found.append(np.asarray(result.rewards, dtype=np.float32))
        return found


def _item(rollout: Rollout) -> dict[str, Any]:
    """What the service is asked: the prompt as it was sampled from, and the very tokens."""
    asked = {name: rollout.row[name] for name in ("prompt", TOOLS, KWARGS) if rollout.row.get(name) is not None}
    return asked | {"token_ids": list(rollout.response.chosen)}
