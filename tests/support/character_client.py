"""A client as an audit uses it, without a service: a token is a character, and its log-prob follows from the character.

It stands where a real service would need a remote endpoint or an adapter, and remembers what it was asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import SimpleNamespace
from typing import Any

from tests.support.staged_server import FINGERPRINT, PROVENANCE
from tokenreward import estimators, templates
from tokenreward.schema import Fingerprint, ItemResult, JobState, ModelInfo, Template


def served(fingerprint: Fingerprint = FINGERPRINT) -> ModelInfo:
    """Return a model as the service lists it."""
    return ModelInfo(
        name=fingerprint.model,
        fingerprint=fingerprint,
        fingerprint_digest=fingerprint.digest,
        workers=1,
        max_tokens=512,
    )


class CharacterClient:
    """It is its own `jobs`.

    Attributes:
        asked: The items of every job.
    """

    def __init__(self) -> None:
        self.jobs = self
        self.asked: list[list[dict[str, Any]]] = []
        self._branches: tuple[str, ...] = ()

    def create(
        self, items: Iterable[dict[str, Any]], *, model: str, template: str | Template, estimator: str, **options: Any
    ) -> SimpleNamespace:
        method = estimators.resolve(estimator)
        self.asked.append(list(items))
        self._branches = method.branches
        update = {"template_hash": templates.resolve(template).hash, "estimator_hash": method.hash}
        return SimpleNamespace(id="job", provenance=PROVENANCE.model_copy(update=update))

    def results(self, job: str) -> Iterator[ItemResult]:
        for index, item in enumerate(self.asked[-1]):
            text = item["response"]
            logprobs = [-(ord(character) % 11) / 2 for character in text]
            yield ItemResult(
                index=index,
                token_ids=[ord(character) for character in text],
                tokens=list(text),
                offsets=[(place, place + 1) for place in range(len(text))],
                logprobs=dict.fromkeys(self._branches, logprobs),
            )

    def get(self, job: str) -> SimpleNamespace:
        return SimpleNamespace(state=JobState.succeeded)

    def delete(self, job: str) -> None:
        pass
