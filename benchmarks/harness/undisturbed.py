"""What an undisturbed run would give: the synthetic engine, called directly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from tokenreward import estimators, templates
from tokenreward.schema import Item
from tokenreward_workers.engines.base import score_all
from tokenreward_workers.engines.synthetic import SyntheticEngine, SyntheticSettings, chat_format
from tokenreward_workers.rendering import Prepared, Renderer
from tokenreward_workers.scoring import Adapter, ScoringFailed


@cache
def _renderer() -> tuple[SyntheticEngine, Renderer]:
    engine = SyntheticEngine(SyntheticSettings())
    return engine, Renderer(chat_format(), engine.info.max_tokens, engine.info.vocabulary)


def rewards(
    items: Sequence[dict],
    template: str = "revision",
    estimator: str = "contrast",
    versions: Mapping[str, str] | None = None,
) -> list[list[float]]:
    """One list of rewards for each item, all of which must be right. versions: of the adapter that scores a branch."""
    engine, renderer = _renderer()
    chosen = estimators.resolve(estimator)
    adapters = {branch: Adapter(version, Path()) for branch, version in (versions or {}).items()}
    prepared = renderer.prepare(
        [Item(**item) for item in items], templates.resolve(template), chosen.branches, adapters=adapters
    )
    assert all(isinstance(p, Prepared) for p in prepared)
    outcomes = score_all(engine, [p.scoring for p in prepared if isinstance(p, Prepared)])
    assert not any(isinstance(outcome, ScoringFailed) for outcome in outcomes)
    return [
        chosen.rewards({branch: row.logprobs for branch, row in outcome.items()}).tolist()
        for outcome in outcomes
        if not isinstance(outcome, ScoringFailed)
    ]
