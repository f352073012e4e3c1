"""The losses that people compare with, and those on token rewards: each by hand, and its gradient in float64."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.support.completions import A_L, A_W, CHOSEN, REJECTED, grads, side, sigmoid
from tokenreward_trainer.losses import METHODS, Completions, Hyperparameters, PairLoss

BETA = 0.5
HYPER = Hyperparameters(beta=BETA, gamma=0.3)
#: Methods whose gradient holds nothing back (WPO's weight and TDPO2's KL do), so that differences of the loss show it.
SMOOTH = sorted(set(METHODS) - {"wpo", "tdpo2"})


def loss(name: str, chosen: Completions = CHOSEN, rejected: Completions = REJECTED, **hyper: Any) -> PairLoss:
    return METHODS[name].loss(chosen, rejected, replace(HYPER, **hyper))


def own_grads(found: PairLoss) -> tuple[Tensor, Tensor]:
    """Of the loss with respect to the log-probs of both sides, without the padding."""
    chosen, rejected = grads(found.loss, CHOSEN.logps, REJECTED.logps)
    assert rejected[0, 2] == 0
    return chosen[0], rejected[0, :2]


def close(found: Tensor, expected: list[float]) -> None:
    torch.testing.assert_close(found.detach(), torch.tensor(expected, dtype=torch.float64), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", SMOOTH)
def test_the_gradient_is_that_of_differences_of_the_loss(name: str) -> None:
    def value(chosen: Tensor, rejected: Tensor) -> Tensor:
        sides = replace(CHOSEN, logps=chosen), replace(REJECTED, logps=rejected)
        return loss(name, *sides, label_smoothing=0.1).loss

    assert torch.autograd.gradcheck(value, (CHOSEN.logps, REJECTED.logps), eps=1e-7, atol=1e-6)


def test_ipo_by_hand() -> None:
    found = loss("ipo")
    distance = A_W / 3 - A_L / 2 - 1 / (2 * BETA)
    close(found.loss, [distance**2])
    chosen, rejected = own_grads(found)
    close(chosen, [2 * distance / 3] * 3)
    close(rejected, [-2 * distance / 2] * 2)


def test_hinge_by_hand() -> None:
    found = loss("hinge")
    close(found.loss, [1 - BETA * (A_W - A_L)])
    close(own_grads(found)[0], [-BETA] * 3)
    far = replace(CHOSEN, ref_logps=torch.full((1, 3), -9.0, dtype=torch.float64))
    beyond = loss("hinge", far)
    assert beyond.weight is not None
    assert (beyond.loss.item(), beyond.weight.item()) == (0, 0)
    assert grads(beyond.loss, far.logps)[0].abs().max() == 0


@pytest.mark.parametrize("name", ["dpo", "simpo", "cpo"])
def test_label_smoothing_mixes_both_directions(name: str) -> None:
    plain, smoothed = loss(name), loss(name, label_smoothing=0.1)
    assert plain.weight is not None
    assert smoothed.weight is not None
    weight = plain.weight.item()  # sigmoid(-m)
    mixed = -0.9 * math.log(1 - weight) - 0.1 * math.log(weight)
    likelihood = -CHOSEN.mean(CHOSEN.logps).item() if name == "cpo" else 0.0
    close(smoothed.loss, [mixed + likelihood])
    close(smoothed.weight, [weight - 0.1])


def test_beyond_the_smoothed_margin_the_regulariser_has_no_weight_and_the_loss_turns_round() -> None:
    far = replace(CHOSEN, ref_logps=torch.full((1, 3), -9.0, dtype=torch.float64))
    found = loss("dpo", far, label_smoothing=0.1)
    assert found.weight is not None
    assert found.weight.item() == 0
    assert grads(found.loss, far.logps)[0].min() > 0


def test_robust_by_hand() -> None:
    found = loss("robust", label_smoothing=0.2)
    m = BETA * (A_W - A_L)
    close(found.loss, [(-0.8 * math.log(sigmoid(m)) + 0.2 * math.log(sigmoid(-m))) / 0.6])
    weight = (0.8 * sigmoid(-m) + 0.2 * sigmoid(m)) / 0.6
    assert found.weight is not None
    close(found.weight, [weight])
    close(own_grads(found)[0], [-BETA * weight] * 3)


def test_the_mean_of_the_robust_loss_over_noise_is_that_of_clean_labels() -> None:
    """arXiv 2403.00409's point: swapped with probability e, the expected loss is DPO's."""
    kept, swapped = loss("robust", label_smoothing=0.2).loss, loss("robust", REJECTED, CHOSEN, label_smoothing=0.2).loss
    close(0.8 * kept + 0.2 * swapped, [loss("dpo").loss.item()])


def test_cpo_by_hand() -> None:
    found = loss("cpo", cpo_alpha=0.7)
    margin = BETA * (-3.5 - -1.9)
    close(found.loss, [-math.log(sigmoid(margin)) + 0.7 * 3.5 / 3])
    chosen, rejected = own_grads(found)
    close(chosen, [-BETA * sigmoid(-margin) - 0.7 / 3] * 3)
    close(rejected, [BETA * sigmoid(-margin)] * 2)


def test_orpo_by_hand() -> None:
    found = loss("orpo")
    mean_w, mean_l = -3.5 / 3, -1.9 / 2

    def log_odds(mean: float) -> float:
        return mean - math.log(1 - math.exp(mean))

    ratio = log_odds(mean_w) - log_odds(mean_l)
    close(found.loss, [-mean_w - BETA * math.log(sigmoid(ratio))])
    slope = BETA * sigmoid(-ratio)  # d log odds / d mean = 1 / (1 - p)
    chosen, rejected = own_grads(found)
    close(chosen, [-(1 + slope / (1 - math.exp(mean_w))) / 3] * 3)
    close(rejected, [slope / (1 - math.exp(mean_l)) / 2] * 2)


@pytest.mark.parametrize("logp", [0.0, -1e-12, -1e-4, -0.6, -0.7, -40.0, -800.0])
def test_orpo_has_a_finite_gradient_for_certain_and_for_hopeless_completions(logp: float) -> None:
    extreme = side([logp], [0.0], [0.0])
    found = loss("orpo", extreme, REJECTED)
    assert torch.isfinite(found.loss).all()
    assert torch.isfinite(grads(found.loss, extreme.logps)[0]).all()


def test_kto_by_hand() -> None:
    found = loss("kto", desirable_weight=1.5, undesirable_weight=0.5)
    gain, lost = BETA * (A_W - 0.05), BETA * (0.05 - A_L)
    close(found.loss, [(1.5 * (1 - sigmoid(gain)) + 0.5 * (1 - sigmoid(lost))) / 2])
    chosen, rejected = own_grads(found)
    close(chosen, [-1.5 * BETA * sigmoid(gain) * sigmoid(-gain) / 2] * 3)
    close(rejected, [0.5 * BETA * sigmoid(lost) * sigmoid(-lost) / 2] * 2)


@pytest.mark.parametrize(("name", "strength"), [("tisdpo", 0.6), ("tgdpo", 0.5)])
def test_token_weights_follow_the_labels_on_the_chosen_side_and_oppose_them_on_the_rejected(
    name: str, strength: float
) -> None:
    found = loss(name)
    weights_w = [1 + strength * r for r in (0.4, -0.2, 0.1)]
    weights_l = [1 - strength * r for r in (-0.3, 0.2)]
    total_w = sum(w * a for w, a in zip(weights_w, (0.5, -1.0, 0.5), strict=True))
    total_l = sum(w * a for w, a in zip(weights_l, (0.2, -0.3), strict=True))
    margin = BETA * (total_w - total_l)
    close(found.loss, [-math.log(sigmoid(margin))])
    chosen, rejected = own_grads(found)
    close(chosen, [-BETA * sigmoid(-margin) * w for w in weights_w])
    close(rejected, [BETA * sigmoid(-margin) * w for w in weights_l])


def test_tis_dpo_s_weights_are_those_of_the_authors_code() -> None:
    """Their code scales an importance of -1.5 to 1.5 to a weight of 0.7 to 1.3; our labels are a third of it."""
    importance = [-9.0, -1.5, 0.3, 1.5, 2.0]
    clamped = [max(-1.5, min(1.5, d)) for d in importance]
    theirs = [0.7 + (d + 1.5) * (1.3 - 0.7) / 3 for d in clamped]
    scale = Hyperparameters(beta=0.1).tis_scale
    assert [1 + scale * d / 3 for d in clamped] == pytest.approx(theirs, abs=1e-12)


@pytest.mark.parametrize("name", ["tisdpo", "tgdpo"])
def test_without_labels_that_differ_token_weights_are_dpo(name: str) -> None:
    flat = [replace(s, token_rewards=torch.zeros_like(s.logps)) for s in (CHOSEN, REJECTED)]
    close(loss(name, *flat).loss, [loss("dpo").loss.item()])


def test_confpo_trains_on_the_tokens_below_the_mean_probability() -> None:
    found = loss("confpo")  # Probabilities 0.37, 0.14, 0.61 (mean 0.37) and 0.50, 0.30 (mean 0.40).
    below = [math.exp(-1.0) < (math.exp(-1) + math.exp(-2) + math.exp(-0.5)) / 3, True, False]
    taken = [logp for logp, counts in zip((-1.0, -2.0, -0.5), below, strict=True) if counts]
    margin = BETA * (sum(taken) / len(taken) - -1.2) - 0.3
    close(found.loss, [-math.log(sigmoid(margin))])
    chosen, rejected = own_grads(found)
    close(chosen, [-BETA * sigmoid(-margin) / len(taken) * counts for counts in below])
    close(rejected, [0.0, BETA * sigmoid(-margin)])


def test_confpo_leaves_out_a_pair_in_which_one_side_has_no_unsure_token() -> None:
    single = side([-0.7], [0.0], [0.0])
    found = loss("confpo", single, REJECTED)
    assert found.loss.item() == 0
    assert grads(found.loss, single.logps, REJECTED.logps)[1].abs().max() == 0
