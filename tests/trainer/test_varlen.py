"""One variable-length attention call a layer, as on a card: the values and gradients of the other ways to attend."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import MistralConfig, MistralForCausalLM, PreTrainedModel

from benchmarks.harness.varlen_stand_in import card_path
from tests.support.tiny_models import VOCABULARY
from tokenreward_trainer.data.collator import Collator
from tokenreward_trainer.data.pair import Example, Pair
from tokenreward_trainer.data.varlen_row import varlen_row
from tokenreward_trainer.model import varlen_attention
from tokenreward_trainer.model.layout_check import checked_row_options
from tokenreward_trainer.model.packed_attention import row_options
from tokenreward_trainer.model.scorable import make_scorable
from tokenreward_trainer.model.scoring import attending, score
from tokenreward_trainer.training.config import PreferenceConfig
from tokenreward_trainer.training.trainer import PreferenceTrainer

MakePairs = Callable[..., list[Pair]]
MakeModel = Callable[..., PreTrainedModel]
CPU = torch.device("cpu")


def test_a_pair_is_two_sequences_of_which_the_second_has_the_prompts_keys_again() -> None:
    row = varlen_row([(2, 3, 1), (1, 1, 2)])
    assert row.query_starts.tolist() == [0, 5, 6, 8, 10]
    assert row.keys.tolist() == [0, 1, 2, 3, 4, 0, 1, 5, 6, 7, 6, 8, 9]
    assert row.key_starts.tolist() == [0, 5, 8, 10, 13]
    assert (row.most_queries, row.most_keys) == (5, 5)


def run(model: PreTrainedModel, pairs: list[Pair], **options: bool) -> tuple[Tensor, list[Tensor]]:
    """Log-probs of all completion tokens and gradients, every token weighed differently."""
    make_scorable(model)
    model.zero_grad()
    part = Collator("packed", **options).part([Example(i, pair) for i, pair in enumerate(pairs)])
    with attending(model, "packed"):
        found = score(model, part).logps[part["mask"]]
        (found * torch.linspace(-1, 1, len(found), dtype=found.dtype)).sum().backward()
    return found.detach(), [p.grad.clone() for p in model.parameters() if p.grad is not None]


def mistral(_: Any = None) -> PreTrainedModel:
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "head_dim": 8, "pad_token_id": 0}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "sliding_window": 5, "initializer_range": 0.3}
    return MistralForCausalLM(MistralConfig(vocab_size=VOCABULARY, **sizes, **heads))


@pytest.mark.parametrize("kind", ["grouped queries", "checkpointing", "sliding window", "soft caps"])
def test_it_gives_the_log_probs_and_gradients_of_two_calls_a_pair(
    kind: str, llama: MakeModel, gemma: MakeModel, make_pairs: MakePairs
) -> None:
    model = {"sliding window": mistral, "soft caps": gemma}.get(kind, llama)(torch.float32)
    if kind == "checkpointing":
        model.gradient_checkpointing_enable()
        model.train()
    logps, grads = run(model, make_pairs(5))
    with card_path():
        again, again_grads = run(model, make_pairs(5), varlen=True)
    torch.testing.assert_close(again, logps, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(again_grads, grads, rtol=1e-3, atol=1e-4)


def test_a_training_on_the_cards_path_ends_where_one_on_the_cpus_path_ends(
    llama: MakeModel, make_pairs: MakePairs, config: Callable[..., PreferenceConfig]
) -> None:
    def trained() -> list[Tensor]:
        trainer = PreferenceTrainer(llama(torch.float64), config(reg_alpha=0.25, max_steps=2), make_pairs(8))
        trainer.train()
        assert "keys" in trainer.data_collator.part([trainer.train_dataset[0]]) or not trainer.data_collator.varlen
        return [p.detach() for p in trainer.model.parameters()]

    plain = trained()
    with card_path():
        on_card = trained()
    torch.testing.assert_close(on_card, plain, rtol=1e-5, atol=1e-7)


def test_a_kernel_that_is_wrong_is_not_used(llama: MakeModel, monkeypatch: pytest.MonkeyPatch) -> None:
    model = llama()
    make_scorable(model)
    with card_path(), monkeypatch.context() as patch:
        assert checked_row_options(model, CPU, torch.float32) == ({"varlen": True, "side_by_side": False}, None)
        patch.setattr(varlen_attention, "kernel", lambda query, *_: torch.zeros_like(query))
        options, why = checked_row_options(model, CPU, torch.float32)
    assert options == {"varlen": False, "side_by_side": True}
    assert "off by" in str(why)


def test_a_cpu_attends_pair_by_pair_and_float32_never_as_one_call(llama: MakeModel) -> None:
    assert row_options(llama(), CPU) == {"varlen": False, "side_by_side": False}
    assert row_options(llama(), torch.device("cuda"), torch.float32) == {"varlen": False, "side_by_side": True}


def test_the_installed_kernels_take_what_they_are_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their arguments, by signature: the kernels themselves need a card."""
    row = varlen_row([(2, 3, 1)])
    query, key = torch.randn(6, 4, 8), torch.randn(8, 2, 8)
    with pytest.raises((NotImplementedError, RuntimeError), match=r"(?i)cpu|flash"):
        varlen_attention.kernel(query, key, key, row, None, -1, None)
    taken: dict[str, Any] = {}
    stand_in = ModuleType("flash_attn")
    stand_in.flash_attn_varlen_func = lambda *args, **kwargs: taken.update(kwargs, places=args[3:]) or args[0]  # type: ignore[attr-defined]
    monkeypatch.setitem(__import__("sys").modules, "flash_attn", stand_in)
    varlen_attention.kernel(query, key, key, row, 0.5, 3, 2.0)
    assert taken.pop("places") == (row.query_starts, row.key_starts, 5, 5)
    assert taken == {"softmax_scale": 0.5, "causal": True, "window_size": (3, 0), "softcap": 2.0}
