"""The length-controlled win rate of AlpacaEval 2 (Dubois et al., arXiv 2404.04475, section 3).

A judge likes long answers. A logistic model of its preferences takes that liking apart from the rest,

    q(m beats b on x) = s(theta + phi tanh((len_b - len_m) / sd(len_b - len_m)) + psi gamma_x),

theta: the checkpoint m against the baseline b.  len: of the answers, in characters.  gamma_x: how hard prompt x is;
and the win rate is the mean of s(theta + psi gamma_x), what the judge would have said had lengths been equal.
Fit and penalty are those of AlpacaEval's own package (0.6.6): L1, its strength by five-fold cross-validation.
"""

from __future__ import annotations

import csv
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tokenreward.errors import BadInput
from tokenreward.statistics.bootstrap import Resamples, Sampled

Floats = NDArray[np.float64]

_FOLDS = 5
_STRENGTHS: list[float] = np.logspace(-4, 4, 10).tolist()
#: The weight of both gamed baselines together, against the judgements themselves.
_GAMED_WEIGHT = 0.2
_TINY = 1e-15


@dataclass(frozen=True)
class Gamed:
    """AlpacaEval's df_gamed.csv: judgements of its baseline against itself, asked to be brief or verbose.

    They keep the model from putting length down to quality.

    Attributes:
        columns: `[rows, 3]`: tanh of the length difference in its deviations, difficulty, 0.
        preferences: `[rows]`, in [0, 1].
        difficulties: Of the prompts, in order.
    """

    columns: Floats
    preferences: Floats
    difficulties: Floats


@dataclass(frozen=True)
class Features:
    """What the length control knows of each prompt.

    Attributes:
        preferences: For the checkpoint, in [0, 1]; NaN where there is no verdict.
        delta: The baseline's length less the checkpoint's, in characters.
        difficulties: Of the prompts; None leaves their term out.
    """

    preferences: Floats
    delta: Floats
    difficulties: Floats | None = None


def length_controlled(features: Features, gamed: Gamed | None, resamples: Resamples) -> Sampled | None:
    """Computes the length-controlled win rate (Dubois et al., arXiv 2404.04475, section 3).

    The resamples refit the model with the penalty that cross-validation chose for all.

    Args:
        features: One entry a prompt.
        gamed: Judgements of gamed baselines, or None.
        resamples: Of the prompts.

    Returns:
        The win rate in [0, 1]; None for fewer verdicts than folds.
    """
    known = np.isfinite(features.preferences)
    if known.sum() < _FOLDS:
        return None
    train, test = _design(features)
    rows, preferences = train[known], features.preferences[known]
    weights = np.ones(len(rows))
    if gamed is not None:
        rows = np.concatenate([gamed.columns, rows])
        preferences = np.concatenate([gamed.preferences, preferences])
        # Half for each of the two gamed baselines.
        weights = np.concatenate([np.full(len(gamed.columns), _GAMED_WEIGHT / 2), weights])
    strength = _strength(rows, preferences, weights)
    value = float(_predict(_fit(rows, preferences, weights, [strength])[0], test).mean())
    draws = np.full(len(resamples.weights), np.nan)
    for number, counts in enumerate(resamples.weights):
        drawn = weights.copy()
        drawn[len(rows) - known.sum() :] *= counts[known]
        if counts[known].any():
            predicted = _predict(_fit(rows, preferences, drawn, [strength])[0], test)
            draws[number] = np.average(predicted, weights=counts)
    return Sampled(value, draws)


def read_gamed(path: Path, prompts: int) -> Gamed:
    """Reads AlpacaEval's df_gamed.csv.

    Args:
        path: The file.
        prompts: The number of prompts.

    Raises:
        BadInput: It is another table, or has too few prompts.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        places = [int(row["index"]) for row in rows]
        delta, hard, liked = (
            np.array([float(row[name]) for row in rows], dtype=np.float64)
            for name in ("std_delta_len", "instruction_difficulty", "preference")
        )
        gamed = all(row["not_gamed_baseline"] == "False" for row in rows)
    except (KeyError, TypeError, ValueError, OSError) as error:
        raise BadInput(f"{path}: not AlpacaEval's df_gamed.csv: {type(error).__name__}: {error}") from None
    by_prompt = dict(zip(reversed(places), reversed(hard), strict=True))
    if not rows or not gamed or any(place not in by_prompt for place in range(prompts)):
        raise BadInput(
            f"{path}: has {len(by_prompt)} prompts' difficulties for {prompts} prompts; the table is for AlpacaEval's "
            "prompts in their order, and for others there is a column `instruction_difficulty` or nothing"
        )
    columns = np.stack([np.tanh(delta), hard, np.zeros(len(rows))], axis=1)
    return Gamed(columns, liked, np.array([by_prompt[place] for place in range(prompts)]))


def difficulties_of(rows: Sequence[dict[str, Any]], prompts: Path) -> Floats | None:
    """Returns the column `instruction_difficulty`; None if the prompts do not have it.

    Raises:
        BadInput: Some rows have it and others do not, or it is not a number.
    """
    given = [row.get("instruction_difficulty") for row in rows]
    if all(value is None for value in given):
        return None
    for number, value in enumerate(given):
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise BadInput(
                f"{prompts}, row {number}: its `instruction_difficulty` is {value!r}; all rows have a number"
            )
    return np.array(given, dtype=np.float64)


def _design(features: Features) -> tuple[Floats, Floats]:
    """The columns as they are, and as they were if all lengths were equal. Their order is AlpacaEval's."""
    spread = float(np.std(features.delta, ddof=1))
    length = np.tanh(features.delta / spread) if spread > 0 else np.zeros(len(features.delta))
    hard = [] if features.difficulties is None else [features.difficulties]
    one = np.ones(len(length))
    return np.stack([length, *hard, one], axis=1), np.stack([np.zeros(len(length)), *hard, one], axis=1)


def _fit(rows: Floats, preferences: Floats, weights: Floats, strengths: Sequence[float]) -> list[Floats]:
    """Coefficients for each penalty. A preference of 0.7 is a win that weighs 0.7 and a loss that weighs 0.3."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    both, won = np.concatenate([rows, rows]), np.repeat([1, 0], len(rows))
    shares = np.concatenate([preferences * weights, (1 - preferences) * weights])
    # One generator for a whole path, as scikit-learn's LogisticRegressionCV has it: the order in which liblinear goes
    # through the coefficients shows in the fifth digit, and that may decide between two penalties.
    random = np.random.RandomState(123)
    models = [
        LogisticRegression(C=strength, l1_ratio=1.0, solver="liblinear", fit_intercept=False, random_state=random)
        for strength in strengths
    ]
    with warnings.catch_warnings():
        # Where all verdicts are alike no fit is the best; a hundred iterations are close enough, and AlpacaEval's.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return [model.fit(both, won, sample_weight=shares).coef_[0] for model in models]


def _predict(coefficients: Floats, rows: Floats) -> Floats:
    found: Floats = 1 / (1 + np.exp(-(rows @ coefficients)))
    return found


def _strength(rows: Floats, preferences: Floats, weights: Floats) -> float:
    """The inverse penalty with the least loss on held-out folds, the strongest penalty of equals."""
    from sklearn.model_selection import GroupKFold

    groups = np.tile(np.arange(len(rows)), 2)
    folds = [
        (np.unique(groups[fit]), np.unique(groups[held]))
        for fit, held in GroupKFold(n_splits=_FOLDS).split(groups, groups=groups)
    ]
    losses = np.zeros(len(_STRENGTHS))
    for fit, held in folds:
        for number, found in enumerate(_fit(rows[fit], preferences[fit], weights[fit], _STRENGTHS)):
            losses[number] += _loss(found, rows[held], preferences[held], weights[held])
    return _STRENGTHS[int(np.argmin(losses))]


def _loss(coefficients: Floats, rows: Floats, preferences: Floats, weights: Floats) -> float:
    predicted = np.clip(_predict(coefficients, rows), _TINY, 1 - _TINY)
    losses = preferences * np.log(predicted) + (1 - preferences) * np.log(1 - predicted)
    return -float(np.mean(losses * weights))
