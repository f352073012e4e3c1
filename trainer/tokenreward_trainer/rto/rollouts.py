"""Responses of the policy as it is now, with their scores: what one iteration learns from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from tokenreward.errors import BadInput
from tokenreward_trainer.data.pair import Pair
from tokenreward_trainer.model.scorable import base_of
from tokenreward_trainer.rto.settings import Rollouts
from tokenreward_trainer.sampling.engines import ENGINES, Engine, Request, Response
from tokenreward_trainer.sampling.engines.transformers import TransformersEngine
from tokenreward_trainer.sampling.requests import Policy
from tokenreward_trainer.scorers.base import Group, Scorer

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Rollout:
    """One sampled response.

    Attributes:
        row: The prompt's row.
        response: Its tokens behind the prompt's, as a single response.
        finished: Whether it ended by itself.
        score: Of the whole response.
    """

    row: Row
    response: Pair
    finished: bool
    score: float


class Sampler:
    """Samples with the weights that the policy has at each call.

    Args:
        policy: The model, which `transformers` samples with as it stands, and which is saved for `vllm`.
        named: Its tokenizer, chat format and limits.
        settings: How responses are sampled.
        scorer: Scores them.
        folder: Where the policy is saved for vLLM.
    """

    def __init__(self, policy: nn.Module, named: Policy, settings: Rollouts, scorer: Scorer, folder: Path) -> None:
        self._policy = policy
        self._named = named
        self._settings = settings
        self._scorer = scorer
        self._folder = folder

    def sample(self, rows: Sequence[Row], seed: int) -> list[Rollout]:
        """Samples `n` responses to each row's prompt and scores them.

        Args:
            rows: Rows with `prompt`.
            seed: Gives, with the prompt and the response's number, that response's own seed.

        Raises:
            BadInput: A prompt cannot be sampled, or a response cannot be scored.
        """
        settings = self._settings.model_copy(update={"seed": seed})
        requests = self._named.requests(rows, settings, "prompts")
        longest = max(len(request.ids) + request.room for request in requests)
        training = self._policy.training
        self._policy.eval()
        engine = self._engine(settings, longest)
        try:
            sampled = engine.sample(requests)
        finally:
            if not isinstance(engine, TransformersEngine):  # The policy itself stays.
                engine.close()
            self._policy.train(training)
        return self._scored(rows, requests, sampled)

    def _engine(self, settings: Rollouts, longest: int) -> Engine:
        if settings.engine == "transformers":
            return TransformersEngine.around(self._policy, settings, self._named.stops)
        base_of(self._policy).save_pretrained(self._folder)
        self._named.tokenizer.save_pretrained(self._folder)
        return ENGINES[settings.engine](str(self._folder), settings, self._named.stops, longest)

    def _scored(
        self, rows: Sequence[Row], requests: Sequence[Request], sampled: Sequence[Sequence[Response]]
    ) -> list[Rollout]:
        groups = [
            Group(
                row["prompt"],
                [request.begun + self._named.text(response) for response in responses],
                [response.token_ids for response in responses],
                row,
                f"prompt {row.get('id', number)}",
            )
            for number, (row, request, responses) in enumerate(zip(rows, requests, sampled, strict=True))
        ]
        found = []
        scored = self._scorer.score(groups)
        for group, request, responses, scores in zip(groups, requests, sampled, scored, strict=True):
            for number, (response, score) in enumerate(zip(responses, scores, strict=True)):
                if score is None:
                    raise BadInput(f"{group.where}: response {number} cannot be scored, and PPO has no reward for it")
                pair = Pair(f"{group.where}, response {number}", request.ids, response.token_ids, ())
                found.append(Rollout(group.row, pair, response.finished, float(score)))
        return found
