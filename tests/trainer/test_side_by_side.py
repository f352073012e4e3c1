"""Packed pairs side by side: one attention call for all of them says what two calls a pair say."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from tokenreward_trainer.data.collator import Collator
from tokenreward_trainer.data.pair import Example, Pair
from tokenreward_trainer.data.side_by_side import side_by_side
from tokenreward_trainer.model.causal_attention import CausalAttention
from tokenreward_trainer.model.scorable import make_scorable
from tokenreward_trainer.model.scoring import attending, score

MakePairs = Callable[..., list[Pair]]
MakeModel = Callable[..., PreTrainedModel]


def test_every_pair_becomes_two_rows_that_share_its_prompt() -> None:
    found = side_by_side([(2, 3, 1), (1, 1, 2)])
    assert found is not None
    assert found.spread.tolist() == [
        [0, 1, 2, 3, 4],
        [0, 1, 5, 3, 4],  # The last two are padding.
        [6, 7, 8, 9, 6],
        [6, 8, 9, 9, 6],
    ]
    # A prompt's tokens are read off the row with the chosen completion.
    assert found.gather.tolist() == [0, 1, 2, 3, 4, 7, 10, 11, 16, 17]


def test_reading_a_row_off_its_places_gives_the_row_back() -> None:
    lengths = [(4, 2, 6), (3, 5, 1), (7, 1, 1)]
    found = side_by_side(lengths)
    assert found is not None
    row = torch.arange(sum(map(sum, lengths)))
    assert torch.equal(row[found.spread.flatten()][found.gather], row)


def test_rows_of_very_different_lengths_stay_one_by_one() -> None:
    assert side_by_side([(1, 100, 1), (1, 1, 1), (1, 1, 1)]) is None
    part = Collator("packed", side_by_side=True).part(
        [Example(0, Pair("a", (5,), (6,) * 100, (7,))), Example(1, Pair("b", (5,), (6,), (7,)))]
    )
    assert "spread" not in part
    assert part["pairs"] == [(1, 100, 1), (1, 1, 1)]


def run(model: PreTrainedModel, pairs: list[Pair], *, together: bool) -> tuple[Tensor, list[Tensor]]:
    """Log-probs [completion tokens] and gradients, every token weighed differently."""
    make_scorable(model)
    model.zero_grad()
    part = Collator("packed", side_by_side=together).part([Example(i, pair) for i, pair in enumerate(pairs)])
    assert ("spread" in part) == together
    with attending(model, "packed"):
        found = score(model, part).logps[part["mask"]]
        (found * torch.linspace(-1, 1, len(found), dtype=found.dtype)).sum().backward()
    return found.detach(), [p.grad.clone() for p in model.parameters() if p.grad is not None]


@pytest.mark.parametrize("checkpointing", [False, True], ids=["", "checkpointing"])
def test_one_call_for_all_pairs_gives_the_log_probs_and_gradients_of_two_calls_a_pair(
    checkpointing: bool, llama: MakeModel, make_pairs: MakePairs
) -> None:
    model = llama(torch.float64)
    if checkpointing:
        model.gradient_checkpointing_enable()
        model.train()
    logps, grads = run(model, make_pairs(5), together=False)
    again, again_grads = run(model, make_pairs(5), together=True)
    torch.testing.assert_close(again, logps, rtol=1e-6, atol=1e-6)  # The norms are in float32.
    torch.testing.assert_close(again_grads, grads, rtol=1e-5, atol=1e-6)


def test_soft_caps_and_sliding_windows_hold_side_by_side_too(gemma: MakeModel, make_pairs: MakePairs) -> None:
    model, pairs = gemma(), make_pairs(5)
    logps, grads = run(model, pairs, together=False)
    again, again_grads = run(model, pairs, together=True)
    torch.testing.assert_close(again, logps, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(again_grads, grads, rtol=1e-4, atol=1e-4)


def test_nobody_sees_the_padding_side_by_side() -> None:
    generator = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(2, 2, 6, 4, generator=generator) for _ in range(3))
    attend = CausalAttention()
    plain = attend(query, key, value)
    key[:, :, 4:], value[:, :, 4:] = 1e3, -1e3
    torch.testing.assert_close(attend(query, key, value)[:, :, :4], plain[:, :, :4], rtol=0, atol=0)
