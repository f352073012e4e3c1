"""Attention windows: packed where attention itself knows them, padded where they live in the mask alone."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from transformers import (
    Llama4ForCausalLM,
    Llama4TextConfig,
    MistralConfig,
    MistralForCausalLM,
    PhimoeConfig,
    PhimoeForCausalLM,
    PreTrainedModel,
)

from tests.support.tiny_models import VOCABULARY
from tokenreward.errors import BadInput
from tokenreward_trainer.model.layout_check import choose_layout
from tokenreward_trainer.model.narrow_windows import NARROW, narrow_windows
from tokenreward_trainer.model.scorable import make_scorable

SIZES = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 4096,
    "initializer_range": 0.2,
    "pad_token_id": 0,
}


def mistral(window: int) -> PreTrainedModel:
    return MistralForCausalLM(MistralConfig(**SIZES, head_dim=8, sliding_window=window))


def phimoe(window: int) -> PreTrainedModel:
    return PhimoeForCausalLM(PhimoeConfig(**SIZES, num_local_experts=2, sliding_window=window))


def llama4(chunk: int) -> PreTrainedModel:
    moe = {"num_local_experts": 2, "moe_layers": [], "intermediate_size_mlp": 64}
    return Llama4ForCausalLM(Llama4TextConfig(**SIZES, **moe, head_dim=8, attention_chunk_size=chunk))


def scorable(make: Callable[[int], PreTrainedModel], window: int) -> PreTrainedModel:
    torch.manual_seed(0)
    model = make(window).eval()
    make_scorable(model)
    return model


@pytest.mark.parametrize("window", [8, 3000])
def test_a_window_that_attention_is_told_of_is_packed(window: int) -> None:
    model = scorable(mistral, window)
    assert choose_layout(model, "auto") == ("packed", None)
    assert model.config.sliding_window == window  # As before.


@pytest.mark.parametrize("window", [8, 3000])
@pytest.mark.parametrize("make", [phimoe, llama4])
def test_a_window_that_lives_in_the_mask_alone_is_padded(make: Callable[[int], PreTrainedModel], window: int) -> None:
    layout, why = choose_layout(scorable(make, window), "auto")
    assert (layout, "off by" in str(why)) == ("padded", True)
    with pytest.raises(BadInput, match="layout = 'packed' does not work with this model"):
        choose_layout(scorable(make, window), "packed")


def test_a_model_with_room_for_a_few_tokens_is_checked_with_few() -> None:
    with narrow_windows(mistral(3000)) as longest:
        assert longest == NARROW
    with narrow_windows(mistral(100)) as longest:
        assert longest == 100
    small = mistral(100)
    small.config.max_position_embeddings = 32
    with narrow_windows(small) as longest:
        assert longest == NARROW
