"""What an undisturbed run would give: the synthetic engine, called directly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from tokenreward import estimators, templates
from tokenreward.chat_format import ChatFormat
from tokenreward.schema import Item
from tokenreward_workers.engines.base import score_all
from tokenreward_workers.engines.synthetic import SyntheticEngine, SyntheticSettings, chat_format
from tokenreward_workers.rendering import Prepared, Renderer
from tokenreward_workers.scoring import Adapter, ScoringFailed


@cache
def _renderer(tokenizer: Path | None) -> tuple[SyntheticEngine, Renderer]:
    chat = ChatFormat.load(tokenizer) if tokenizer else chat_format()
    engine = SyntheticEngine(SyntheticSettings(), chat.tokenizer.vocabulary)
    return engine, Renderer(chat, engine.info.max_tokens, engine.info.vocabulary)


def rewards(
    items: Sequence[dict],
    template: str = "revision",
    estimator: str = "contrast",
    versions: Mapping[str, str] | None = None,
    tokenizer: Path | None = None,
) -> list[list[float]]:
    """One list of rewards for each item, all of which must be right.

    Args:
        items: As a job has them.
        template: Its name.
        estimator: Its name.
        versions: Of the adapter that scores a branch.
        tokenizer: The model directory whose tokenizer the engine has; None for its own.
    """
    engine, renderer = _renderer(tokenizer)
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
