"""Each loss by hand, and its gradient per token log-prob by autograd in float64."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from tests.support.completions import A_L, A_W, CHOSEN, REJECTED, grads, sigmoid
from tokenreward_trainer.losses import METHODS, Completions, Hyperparameters, PairLoss, sft_term
from tokenreward_trainer.losses.regularizer import regularization, token_regularizer
from tokenreward_trainer.losses.sepo import tokens_of_share

HYPER = Hyperparameters(beta=0.5, gamma=0.3, tdpo_alpha=0.7, sepo_fraction=0.5)


def loss(name: str, chosen: Completions = CHOSEN, rejected: Completions = REJECTED) -> PairLoss:
    return METHODS[name].loss(chosen, rejected, HYPER)


def test_dpo_by_hand() -> None:
    found = loss("dpo")
    assert found.loss.item() == pytest.approx(-math.log(sigmoid(0.5 * (A_W - A_L))), abs=1e-12)
    assert found.chosen_rewards.item() == pytest.approx(0.5 * A_W)
    assert found.rejected_rewards.item() == pytest.approx(0.5 * A_L)
    assert found.weight is not None
    assert found.weight.item() == pytest.approx(sigmoid(0.5 * (A_L - A_W)))


def test_simpo_by_hand() -> None:
    found = loss("simpo")
    margin = 0.5 * (-3.5 / 3 - -1.9 / 2) - 0.3
    assert found.loss.item() == pytest.approx(-math.log(sigmoid(margin)), abs=1e-12)
    assert found.weight is not None
    assert found.weight.item() == pytest.approx(sigmoid(-margin))


def test_wpo_by_hand() -> None:
    found = loss("wpo")
    omega = math.exp((-3.5 + 2.1) / 3 + (-1.9 + 1.4) / 2)
    assert found.loss.item() == pytest.approx(omega * loss("dpo").loss.item(), abs=1e-12)
    assert found.weight is not None
    assert found.weight.item() == pytest.approx(omega * sigmoid(0.5 * (A_L - A_W)))


def test_wpo_weighs_no_pair_above_one() -> None:
    likely = replace(CHOSEN, log_collision=torch.full((1, 3), -9.0, dtype=torch.float64))
    assert loss("wpo", likely).loss.item() == pytest.approx(loss("dpo").loss.item())


def test_tdpo1_by_hand() -> None:
    margin = 0.5 * (A_W - A_L) - 0.5 * (0.9 - 0.6)
    assert loss("tdpo1").loss.item() == pytest.approx(-math.log(sigmoid(margin)), abs=1e-12)


def test_tdpo2_by_hand() -> None:
    margin = 0.5 * (A_W - A_L) - 0.7 * 0.5 * (0.9 - 0.6)
    assert loss("tdpo2").loss.item() == pytest.approx(-math.log(sigmoid(margin)), abs=1e-12)


def test_tdpo2_stops_the_gradient_of_the_chosen_kl_and_tdpo1_does_not() -> None:
    assert CHOSEN.kl is not None
    assert REJECTED.kl is not None
    chosen1, rejected1 = grads(loss("tdpo1").loss, CHOSEN.kl, REJECTED.kl)
    chosen2, rejected2 = grads(loss("tdpo2").loss, CHOSEN.kl, REJECTED.kl)
    assert chosen1.abs().min() > 0
    assert chosen2.abs().max() == 0
    assert rejected1[0, :2].min() > 0  # A larger KL on the rejected side is a larger loss.
    assert rejected2[0, :2].min() > 0


def test_sepo_trains_on_the_best_chosen_and_the_worst_rejected_tokens_only() -> None:
    found = loss("sepo")  # Half of three tokens is two, of two one.
    margin = 0.5 * (-1.0 - 0.5) / 2 - 0.5 * -0.7
    assert found.loss.item() == pytest.approx(-math.log(sigmoid(margin)), abs=1e-12)
    chosen, rejected = grads(found.loss, CHOSEN.logps, REJECTED.logps)
    assert (chosen[0] != 0).tolist() == [True, False, True]
    assert (rejected[0] != 0).tolist() == [True, False, False]


@pytest.mark.parametrize(
    ("length", "fraction", "count"),
    [(10, 0.3, 3), (11, 0.3, 4), (100, 0.07, 7), (9, 1 / 3, 3), (1, 0.01, 1), (7, 1.0, 7), (1000, 0.001, 1)],
)
def test_sepo_s_ceiling_is_that_of_whole_numbers(length: int, fraction: float, count: int) -> None:
    assert tokens_of_share(torch.tensor([length]), fraction).tolist() == [count]


def test_sepo_takes_at_least_one_token_and_the_earlier_of_equals() -> None:
    hyper = replace(HYPER, sepo_fraction=0.01)
    equal = replace(CHOSEN, token_rewards=torch.zeros(1, 3, dtype=torch.float64))
    found = METHODS["sepo"].loss(equal, REJECTED, hyper)
    chosen, _ = grads(found.loss, equal.logps, REJECTED.logps)
    assert (chosen[0] != 0).tolist() == [True, False, False]


def test_the_sft_term_is_the_mean_over_the_chosen_tokens() -> None:
    assert sft_term(CHOSEN).item() == pytest.approx(3.5 / 3)


@pytest.mark.parametrize(
    ("name", "normalised"), [("dpo", False), ("wpo", False), ("hinge", False), ("robust", False), ("simpo", True)]
)
def test_the_weight_is_the_factor_in_the_losss_own_gradient(name: str, normalised: bool) -> None:
    found = loss(name)
    assert found.weight is not None
    w = found.weight.item()
    chosen, rejected = grads(found.loss, CHOSEN.logps, REJECTED.logps)
    per_chosen, per_rejected = (0.5 * w / 3, 0.5 * w / 2) if normalised else (0.5 * w, 0.5 * w)
    torch.testing.assert_close(chosen, torch.full((1, 3), -per_chosen, dtype=torch.float64), rtol=1e-12, atol=0)
    expected = torch.tensor([[per_rejected, per_rejected, 0.0]], dtype=torch.float64)
    torch.testing.assert_close(rejected, expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("name", ["dpo", "wpo", "simpo"])
def test_the_regularisers_gradient_is_minus_alpha_w_beta_r(name: str) -> None:
    found, normalised = loss(name), METHODS[name].length_normalised
    alpha = 0.25
    term = alpha * regularization(found, CHOSEN, REJECTED, beta=0.5, static=False, length_normalised=normalised)
    assert found.weight is not None
    w = found.weight.item()
    for completion, gradient in zip((CHOSEN, REJECTED), grads(term, CHOSEN.logps, REJECTED.logps), strict=True):
        assert completion.token_rewards is not None
        length = completion.lengths.item() if normalised else 1
        expected = (-alpha * w * 0.5 / length * completion.token_rewards).masked_fill(~completion.mask, 0)
        torch.testing.assert_close(gradient, expected, rtol=1e-9, atol=1e-12)


def test_static_weighting_weighs_every_pair_by_one() -> None:
    dynamic, static = (
        regularization(loss("dpo"), CHOSEN, REJECTED, beta=0.5, static=flag, length_normalised=False).item()
        for flag in (False, True)
    )
    weight = loss("dpo").weight
    assert weight is not None
    assert dynamic == pytest.approx(weight.item() * static)


def test_the_regulariser_by_hand() -> None:
    total = 0.4 * -1.0 + -0.2 * -2.0 + 0.1 * -0.5
    assert token_regularizer(CHOSEN, 0.5, length_normalised=False).item() == pytest.approx(-0.5 * total)
    assert token_regularizer(CHOSEN, 0.5, length_normalised=True).item() == pytest.approx(-0.5 * total / 3)


@pytest.mark.parametrize("name", sorted(METHODS))
def test_neither_the_weight_nor_the_reported_rewards_carry_a_gradient(name: str) -> None:
    found = loss(name)
    reported = (found.chosen_rewards, found.rejected_rewards, found.weight)
    assert not any(value.requires_grad for value in reported if value is not None)
    assert found.loss.requires_grad


@pytest.mark.parametrize("name", sorted(METHODS))
def test_only_methods_that_say_so_give_a_weight(name: str) -> None:
    assert (loss(name).weight is not None) == METHODS[name].weighted


@pytest.mark.parametrize("name", sorted(METHODS))
def test_padding_never_counts(name: str) -> None:
    def padded(completion: Completions) -> Completions:
        rubbish = torch.full((1, 5), 7.0, dtype=torch.float64)
        grids = {
            field: torch.cat((value, rubbish), 1)
            for field in ("logps", "ref_logps", "token_rewards", "kl", "log_collision", "teacher_logps")
            if (value := getattr(completion, field)) is not None
        }
        mask = torch.cat((completion.mask, torch.zeros(1, 5, dtype=torch.bool)), 1)
        return Completions(mask=mask, reference_point=completion.reference_point, **grids)

    plain, wide = loss(name), loss(name, padded(CHOSEN), padded(REJECTED))
    torch.testing.assert_close(wide.loss, plain.loss, rtol=1e-12, atol=0)
    torch.testing.assert_close(grads(wide.loss, CHOSEN.logps), grads(plain.loss, CHOSEN.logps), rtol=1e-12, atol=0)
