"""Packed and padded batches: exact tensors, and the same log-probs and gradients whatever the layout."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from tokenreward_trainer.data.collator import Collator
from tokenreward_trainer.data.grouping import by_length
from tokenreward_trainer.data.pair import Batch, BatchLayout, Example, Pair
from tokenreward_trainer.model.layout_check import choose_layout
from tokenreward_trainer.model.scorable import make_scorable
from tokenreward_trainer.model.scoring import attending, score

MakePairs = Callable[..., list[Pair]]
MakeModel = Callable[..., PreTrainedModel]

TWO = [
    Pair("a", (11, 12), (13, 14, 15), (16,), np.array([0.1, 0.2, 0.3], np.float32), np.array([-0.4], np.float32)),
    Pair("b", (21,), (22,), (23, 24), np.array([0.5], np.float32), np.array([-0.1, -0.2], np.float32)),
]


def examples(pairs: list[Pair]) -> list[Example]:
    return [Example(index, pair) for index, pair in enumerate(pairs)]


def test_a_packed_part_is_one_row_with_each_prompt_once() -> None:
    part = Collator("packed").part(examples(TWO))
    assert part["input_ids"].tolist() == [[11, 12, 13, 14, 15, 16, 21, 22, 23, 24]]
    assert part["position_ids"].tolist() == [[0, 1, 2, 3, 4, 2, 0, 1, 1, 2]]
    assert part["pairs"] == [(2, 3, 1), (1, 1, 2)]
    # Where each completion token is predicted: both completions start at the prompt's last token.
    assert part["positions"].tolist() == [1, 2, 3, 6, 1, 6, 8]
    assert part["targets"].tolist() == [13, 14, 15, 22, 16, 23, 24]
    assert "attention_mask" not in part


def test_a_padded_part_is_two_rows_a_pair_chosen_first() -> None:
    part = Collator("padded", pad_token=9).part(examples(TWO))
    assert part["input_ids"].tolist() == [
        [11, 12, 13, 14, 15],
        [21, 22, 9, 9, 9],
        [11, 12, 16, 9, 9],
        [21, 23, 24, 9, 9],
    ]
    assert part["attention_mask"].sum(1).tolist() == [5, 2, 3, 3]
    assert part["positions"].tolist() == [1, 2, 3, 5, 11, 15, 16]


def test_both_layouts_carry_the_same_grid_of_completions() -> None:
    for layout in ("packed", "padded"):
        part = Collator(layout).part(examples(TWO))  # type: ignore[arg-type]
        assert part["mask"].tolist() == [[True] * 3, [True, False, False], [True, False, False], [True, True, False]]
        assert part["slots"].tolist() == [0, 1, 2, 3, 6, 9, 10]
        expected = torch.tensor([[0.1, 0.2, 0.3], [0.5, 0, 0], [-0.4, 0, 0], [-0.1, -0.2, 0]])
        torch.testing.assert_close(part["token_rewards"], expected)


def test_a_batch_is_cut_into_parts_of_bounded_size_that_together_are_the_batch(make_pairs: MakePairs) -> None:
    pairs = make_pairs(9)
    for layout in ("packed", "padded"):
        batch = Collator(layout, max_tokens=40)(examples(pairs))  # type: ignore[arg-type]
        assert batch["pair_index"].tolist() == [*range(9)]
        assert len(batch["parts"]) > 1
        assert all(part["input_ids"].numel() <= 40 + 8 for part in batch["parts"])
        assert sum(len(part["mask"]) for part in batch["parts"]) == 18


def test_a_pair_longer_than_the_bound_is_a_part_of_its_own(make_pairs: MakePairs) -> None:
    groups = list(by_length(make_pairs(4), 1, "packed"))
    assert sorted(index for group in groups for index in group) == [0, 1, 2, 3]
    assert all(len(group) == 1 for group in groups)


def run(model: nn.Module, part: Batch, layout: BatchLayout) -> tuple[Tensor, list[Tensor]]:
    """Log-probs [completion tokens] and gradients, every token weighed differently."""
    make_scorable(model)
    model.zero_grad()
    with attending(model, layout):
        found = score(model, part).logps[part["mask"]]
        (found * torch.linspace(-1, 1, len(found), dtype=found.dtype)).sum().backward()
    return found.detach(), [p.grad.clone() for p in model.parameters() if p.grad is not None]


def exact(model: PreTrainedModel) -> PreTrainedModel:
    """transformers' norms compute in float32; a float64 comparison needs them in float64."""
    for module in list(model.modules()):
        for name, child in module.named_children():
            if type(child).__name__ == "LlamaRMSNorm":
                plain = nn.RMSNorm(child.weight.shape[0], eps=child.variance_epsilon, dtype=torch.float64)
                plain.weight.data.copy_(child.weight.data)
                setattr(module, name, plain)
    return model


def test_packed_and_padded_agree_in_float64(llama: MakeModel, make_pairs: MakePairs) -> None:
    model, batch = exact(llama(torch.float64)), examples(make_pairs(6))
    logps, grads = run(model, Collator("padded").part(batch), "padded")
    packed_logps, packed_grads = run(model, Collator("packed").part(batch), "packed")
    torch.testing.assert_close(packed_logps, logps, rtol=1e-11, atol=1e-11)
    torch.testing.assert_close(packed_grads, grads, rtol=1e-9, atol=1e-11)


def test_packed_and_padded_agree_on_gemma_2(gemma: MakeModel, make_pairs: MakePairs) -> None:
    """Soft-capped attention and logits, and a sliding window shorter than the sequences."""
    model, batch = gemma(), examples(make_pairs(6))
    logps, grads = run(model, Collator("padded").part(batch), "padded")
    packed_logps, packed_grads = run(model, Collator("packed").part(batch), "packed")
    torch.testing.assert_close(packed_logps, logps, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(packed_grads, grads, rtol=1e-4, atol=1e-4)


def test_padding_to_any_width_changes_nothing(llama: MakeModel, make_pairs: MakePairs) -> None:
    model, batch = exact(llama(torch.float64)), examples(make_pairs(5))
    logps, grads = run(model, Collator("padded").part(batch), "padded")
    for multiple in (16, 64):
        wide, wide_grads = run(model, Collator("padded", pad_to_multiple_of=multiple).part(batch), "padded")
        torch.testing.assert_close(wide, logps, rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(wide_grads, grads, rtol=1e-9, atol=1e-12)


def test_gradient_checkpointing_recomputes_the_same_packed_attention(llama: MakeModel, make_pairs: MakePairs) -> None:
    model, part = llama(torch.float64), Collator("packed").part(examples(make_pairs(4)))
    _, grads = run(model, part, "packed")
    model.gradient_checkpointing_enable()
    model.train()
    _, again = run(model, part, "packed")
    torch.testing.assert_close(again, grads, rtol=0, atol=0)


def test_a_model_is_packed_where_packing_is_right(llama: MakeModel, gemma: MakeModel) -> None:
    for make in (llama, gemma):
        model = make()
        make_scorable(model)
        assert choose_layout(model, "auto") == ("packed", None)
        assert model.config._attn_implementation in ("sdpa", "eager")  # As before.


def test_a_model_whose_attention_cannot_be_packed_is_padded_and_it_says_why(llama: MakeModel) -> None:
    model = llama()
    make_scorable(model)

    def with_own_attention(*args: Any, **kwargs: Any) -> Any:
        raise TypeError("forward() got an unexpected keyword argument 'pairs'")

    from tokenreward.errors import BadInput

    backbone = model.base_model.forward

    def forward(*args: Any, **kwargs: Any) -> Any:
        return with_own_attention() if "pairs" in kwargs else backbone(*args, **kwargs)

    model.base_model.forward = forward  # type: ignore[method-assign]
    layout, why = choose_layout(model, "auto")
    assert layout == "padded"
    assert why is not None
    assert "pairs" in why
    with pytest.raises(BadInput, match="layout = 'padded'"):
        choose_layout(model, "packed")


def test_gemma_2_is_not_left_to_an_attention_that_drops_its_soft_cap(gemma: MakeModel) -> None:
    model = gemma()
    make_scorable(model)
    assert model.config._attn_implementation == "eager"


def test_a_head_that_is_not_plain_is_refused(llama: MakeModel) -> None:
    from tokenreward.errors import BadInput

    model = llama()
    model.set_output_embeddings(nn.Sequential(model.lm_head))  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="lm_head"):
        make_scorable(model)


def test_without_a_score_request_the_forward_is_the_models_own(llama: MakeModel) -> None:
    model = llama()
    before = model(torch.tensor([[5, 6, 7]])).logits
    make_scorable(model)
    make_scorable(model)  # Twice is once.
    torch.testing.assert_close(model(torch.tensor([[5, 6, 7]])).logits, before, rtol=0, atol=0)
    assert model.generate(torch.tensor([[5, 6]]), max_new_tokens=2, do_sample=False).shape[1] >= 3
