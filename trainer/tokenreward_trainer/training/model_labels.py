"""Labels without the service, computed with the trainer's own log-probs: the paper's other row, and a control.

Contrast labels are d_t = log pi_strong / pi_weak on the plain prompt, squashed as T-REG squashes its own (the "DPO
reward" row of T-REG, arXiv 2412.02685; RTO, arXiv 2404.18922; SePO, arXiv 2408.13518). Surprisal labels say how likely
the reference finds the token, relative to the data set's mean. They hold no information about quality that the
reference did not have, so they are a control.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from torch import nn

from tokenreward_trainer.data.pair import BatchLayout, Pair, Values
from tokenreward_trainer.model.layout_check import choose_layout
from tokenreward_trainer.model.scorable import make_scorable
from tokenreward_trainer.training.pair_scoring import PairLogps, score_pairs, without_adapter


def contrast_labels(
    pairs: Sequence[Pair], strong: nn.Module, weak: nn.Module | None = None, *, max_tokens: int = 4096
) -> list[Pair]:
    """Labels each token by r_t = tanh(d_t / 2) / 2, d_t = log pi_strong(y_t | x, y_<t) - log pi_weak(y_t | x, y_<t).

    Args:
        pairs: The pairs to label.
        strong: The better model.
        weak: The worse one; None takes the base model of `strong`, a PEFT model, with its adapter off.
        max_tokens: The most tokens of a forward pass (or one pair).

    Returns:
        The pairs with token rewards, float32 in [-0.5, 0.5].
    """
    better = _logps(strong, pairs, max_tokens)
    if weak is not None:
        worse = _logps(weak, pairs, max_tokens)
    else:
        assert hasattr(strong, "disable_adapter"), "a contrast needs two models, or an adapter and its base"
        with without_adapter(strong):
            worse = _logps(strong, pairs, max_tokens)
    return [
        _labeled(pair, *(_squash(s - w) for s, w in zip(strong_pair, weak_pair, strict=True)))
        for pair, strong_pair, weak_pair in zip(pairs, better, worse, strict=True)
    ]


def surprisal_labels(pairs: Sequence[Pair], model: nn.Module, *, max_tokens: int = 4096) -> list[Pair]:
    """Labels each token by r_t = tanh((l_t - c) / 2) / 2, c the mean log-prob l_t of the data set's tokens that count.

    Likely tokens become positive and unlikely ones negative. Arguments and result are as in `contrast_labels`.
    """
    logps = _logps(model, pairs, max_tokens)
    counted = [side for pair in pairs for side in pair.counted]
    centre = np.concatenate([side for pair in logps for side in pair])[np.concatenate(counted)].mean()
    return [
        _labeled(pair, *(_squash(side - centre) for side in sides)) for pair, sides in zip(pairs, logps, strict=True)
    ]


def _logps(model: nn.Module, pairs: Sequence[Pair], max_tokens: int) -> list[PairLogps]:
    make_scorable(model)
    layout: BatchLayout = choose_layout(model, "auto")[0]
    return score_pairs(model, pairs, layout=layout, max_tokens=max_tokens)


def _squash(difference: Values) -> Values:
    squashed: Values = (np.tanh(difference / 2) / 2).astype(np.float32)
    return squashed


def _labeled(pair: Pair, chosen: Values, rejected: Values) -> Pair:
    return replace(pair, chosen_token_rewards=chosen, rejected_token_rewards=rejected)
