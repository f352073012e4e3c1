"""How the responses of a file are scored: what `label_dataset` and the commands take, with every default resolved."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tokenreward import estimators, templates
from tokenreward.errors import UnknownName
from tokenreward.schema import TOP_K, Include, Pool, PoolBy, Score, Template


@dataclass(frozen=True)
class ScoringOptions:
    """How the responses of a file are scored, and what is kept of the results.

    Attributes:
        template: A shipped template's name, or a template of the caller's own.
        estimator: The estimator's name.
        parameters: Parameters of the estimator that take another value than their default.
        pool: What rewards are pooled over.
        pool_by: How they are pooled.
        include: What the results hold beside token ids and rewards.
        top_k: How many of the most likely ids they hold at each token.
        contexts: The source of each context field.
        score: Which turns of a conversation are scored.
        models: What scores a branch in place of what the template says.
    """

    template: str | Template
    estimator: str
    parameters: Mapping[str, float] = field(default_factory=dict)
    pool: Pool | None = None
    pool_by: PoolBy = "mean"
    include: tuple[Include, ...] = ()
    top_k: int = TOP_K
    contexts: Mapping[str, str] = field(default_factory=dict)
    score: Score = "last"
    models: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        template: str | Template | None,
        estimator: str,
        *,
        parameters: Mapping[str, float] | None = None,
        pool: Pool | None = None,
        pool_by: PoolBy = "mean",
        include: Iterable[Include] = (),
        top_k: int = TOP_K,
        contexts: Mapping[str, str] | None = None,
        score: Score = "last",
        models: Mapping[str, str] | None = None,
    ) -> ScoringOptions:
        """Resolve what the caller left out.

        A missing template is the estimator's own. A context field that the caller does not mention comes from where the
        template says that files have it, if it says so.

        Raises:
            BadInput: A parameter is unknown or out of its range.
        """
        known = estimators.shipped().get(estimator)
        if known is not None:
            known.chosen(parameters or {})
        chosen = template if template is not None else known.template if known is not None else "revision"
        return cls(
            chosen,
            estimator,
            dict(parameters or {}),
            pool,
            pool_by,
            tuple(dict.fromkeys(include)),
            top_k,
            _sources(chosen, contexts or {}),
            score,
            dict(models or {}),
        )

    @property
    def candidates(self) -> int:
        """About how many candidates the results hold at each token under one branch."""
        return (self.top_k if "top" in self.include else 0) + (TOP_K if "named" in self.include else 0)

    def plan(self) -> dict[str, Any]:
        """Return what identifies the labels that these options give."""
        try:
            template_hash = templates.resolve(self.template).hash
        except UnknownName:  # the service may know it
            template_hash = None
        plan: dict[str, Any] = {
            "template": self.template if isinstance(self.template, str) else self.template.name,
            "template_hash": template_hash,
            "estimator": self.estimator,
            "tokens": "tokens" in self.include,
        }
        # Options that are not used leave no trace, so that older runs and files keep their plans.
        more = {
            "parameters": dict(self.parameters),
            "pool": self.pool and f"{self.pool}:{self.pool_by}",
            "include": sorted(set(self.include) - {"tokens"}),
            "top_k": self.top_k if "top" in self.include else None,
            "contexts": dict(self.contexts),
            "score": self.score if self.score != "last" else None,
            "models": dict(self.models),
        }
        return plan | {name: value for name, value in more.items() if value}


def _sources(template: str | Template, given: Mapping[str, str]) -> dict[str, str]:
    try:
        fields = templates.resolve(template).fields
    except UnknownName:
        fields = {}
    own = {name: field.source for name, field in fields.items() if field.source is not None}
    return own | dict(given)
