"""From a judge's preferences to win rates: of the answers as they are, and as if all were of one length."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tokenreward.statistics.bootstrap import Resamples
from tokenreward_trainer.evaluation.judging.judgements import AnswerPair, Judgement
from tokenreward_trainer.evaluation.judging.length_control import Features, Floats, Gamed, length_controlled
from tokenreward_trainer.evaluation.result import WinRate
from tokenreward_trainer.evaluation.statistics import sign_test


def win_rate(
    pairs: Sequence[AnswerPair], judgements: Sequence[Judgement], difficulties: Floats | None, gamed: Gamed | None
) -> WinRate:
    """Computes the win rates of one checkpoint.

    Args:
        pairs: All prompts in order.
        judgements: One a pair.
        difficulties: Of the prompts, or None.
        gamed: Judgements of gamed baselines, or None.
    """
    preferences, first, second = (
        np.array([getattr(judgement, name) for judgement in judgements], dtype=np.float64)
        for name in ("preference", "first", "second")
    )
    asked = np.isfinite(preferences) & [not judgement.identical for judgement in judgements]
    lengths = np.array([(len(pair.answer), len(pair.baseline)) for pair in pairs], dtype=np.float64)
    resamples = Resamples("all", len(pairs))
    features = Features(preferences, lengths[:, 1] - lengths[:, 0], difficulties)
    controlled = length_controlled(features, gamed, resamples)
    wins, losses = int((preferences > 0.5).sum()), int((preferences < 0.5).sum())
    answer, baseline = lengths.mean(axis=0).tolist()
    return WinRate(
        wins=wins,
        ties=int((preferences == 0.5).sum()),
        losses=losses,
        identical=sum(judgement.identical for judgement in judgements),
        unusable=sum((judgement.first is None) + (judgement.second is None) for judgement in judgements),
        left_out=int(np.isnan(preferences).sum()),
        rate=resamples.mean(preferences).interval,
        length_controlled=None if controlled is None else controlled.interval,
        consistent=resamples.mean(np.where(asked, np.sign(first - 0.5) == np.sign(second - 0.5), np.nan)).interval,
        # In the second order it is the baseline's answer that was shown first.
        shown_first=resamples.mean(np.where(asked, (first + 1 - second) / 2, np.nan)).interval,
        characters=(answer, baseline),
        p=sign_test(wins, losses),
    )


def formula_of(difficulties: Floats | None, gamed: Gamed | None) -> str:
    """Returns AlpacaEval's name of the length control that these inputs make."""
    if gamed is not None:
        return "length_controlled_v1"
    return "length_controlled_minimal" if difficulties is None else "length_controlled_noreg"
