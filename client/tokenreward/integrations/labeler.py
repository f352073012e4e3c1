"""Rewards for items, one list for each, aligned with the ids that were sent: what every trainer's hook needs."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from tokenreward.errors import ItemError
from tokenreward.http import AsyncClient, Client
from tokenreward.http.endpoints import job_options
from tokenreward.http.item_encoding import item_lines
from tokenreward.schema import TOP_K, Item, ItemResult, JobOptions, Template
from tokenreward.settings import client_settings

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Labeler:
    """How responses are labeled. It opens its connections when it is used, so that it can be sent to other processes.

    Attributes:
        url: The service's base address; None for `TOKENREWARD_URL`.
        api_key: An API key; None for `TOKENREWARD_API_KEY`.
        model: A served model's name; None for the only one.
        template: A template; None for the estimator's own.
        estimator: An estimator's name.
        parameters: Parameters of the estimator that take another value than their default.
        on_failure: What becomes of a response that cannot be labeled: `raise` ends the call with an ItemError, `zero`
            gives its tokens no reward and logs why.
        patience: How long a call is tried again while the service is away, in seconds.
    """

    url: str | None = None
    api_key: str | None = None
    model: str | None = None
    template: str | Template | None = None
    estimator: str = "contrast"
    parameters: Mapping[str, float] = field(default_factory=dict)
    on_failure: Literal["raise", "zero"] = "raise"
    patience: float = 300.0

    def rewards(self, items: Sequence[Item | Mapping[str, Any]]) -> list[list[float]]:
        """Return the rewards of items, one for each token of the response.

        Args:
            items: Items with `token_ids`; the rewards of an item are as many as its ids.

        Raises:
            ItemError: An item cannot be labeled, and `on_failure` is `raise`.
            TokenRewardError: The service refuses the call, or cannot be reached.
        """
        if not items:
            return []
        with Client(settings=self._settings()) as client:
            answer = client.answer_to(item_lines(items), self._options())
        return [self._aligned(item, result) for item, result in zip(items, answer.results, strict=True)]

    async def rewards_async(self, items: Sequence[Item | Mapping[str, Any]]) -> list[list[float]]:
        """Return what `rewards` returns, for asyncio."""
        if not items:
            return []
        async with AsyncClient(settings=self._settings()) as client:
            answer = await client.answer_to(item_lines(items), self._options())
        return [self._aligned(item, result) for item, result in zip(items, answer.results, strict=True)]

    def _settings(self) -> Any:
        return client_settings(url=self.url, api_key=self.api_key, patience=self.patience)

    def _options(self) -> JobOptions:
        return job_options(
            self.model, self.template, self.estimator, self.parameters, None, "mean", (), TOP_K, strict=False
        )

    def _aligned(self, item: Item | Mapping[str, Any], result: ItemResult) -> list[float]:
        given = item.token_ids if isinstance(item, Item) else item.get("token_ids")
        if result.error is None and result.rewards is not None:
            assert given is None or len(given) == len(result.rewards), "the service rewards the ids that it was sent"
            return result.rewards
        assert result.error is not None
        if self.on_failure == "raise":
            raise ItemError(result.index, result.error)
        log.warning("a response of %d tokens gets no reward: %s", len(given or ()), result.error.message)
        return [0.0] * len(given or ())
