"""Moments, the likeliest ids and named ids of branches that adapters score: those of the merged model."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.workers.test_adapters import Models, mixed, models
from tests.workers.test_wanted import assert_same, plain, wanting
from tokenreward_workers.engines.base import score_all
from tokenreward_workers.engines.packed.engine import TransformersEngine
from tokenreward_workers.scoring import Row, Scored, Scoring, ScoringFailed

__all__ = ["models"]  # the fixture: a base model and three adapters of it


def wanted_of(models: Models) -> list[Scoring]:
    return [wanting(scoring, n + 1) for n, scoring in enumerate(mixed([adapter for adapter, _ in models[1]]))]


def expected(models: Models, work: Sequence[Scoring]) -> list[dict[str, Row]]:
    """Every branch by a plain pass of the base, or of the model that its adapter makes of it."""
    base, made = models
    rows = {None: plain(base, work)} | {adapter: plain(folder, work) for adapter, folder in made}
    return [
        {branch: rows[scoring.adapters.get(branch)][n][branch] for branch in scoring.branches}
        for n, scoring in enumerate(work)
    ]


def check(outcomes: Sequence[Scored | ScoringFailed], right: Sequence[dict[str, Row]]) -> None:
    for outcome, rows in zip(outcomes, right, strict=True):
        assert not isinstance(outcome, ScoringFailed), outcome
        assert outcome.keys() == rows.keys()
        for branch, row in rows.items():
            assert_same(outcome[branch], row)


@pytest.mark.parametrize("budget", [64, 100_000])
def test_each_branch_gets_what_is_wanted_from_its_own_adapter(tiny: object, models: Models, budget: int) -> None:
    work = wanted_of(models)
    right = expected(models, work)
    check(score_all(TransformersEngine(models[0], "float32", token_budget=budget), work), right)
    rows = next(rows for rows in right if "first" in rows and rows["base"].moments is not None)
    assert (rows["base"].columns != rows["first"].columns).any(), "adapters change something"
