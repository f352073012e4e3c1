"""A mixture of experts keeps its load-balancing loss, with the value that the model itself gives."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from transformers import MixtralConfig, MixtralForCausalLM, PreTrainedModel, Qwen3MoeConfig, Qwen3MoeForCausalLM

from tests.support.tiny_models import VOCABULARY
from tokenreward.errors import BadInput
from tokenreward_trainer.data.collator import Collator
from tokenreward_trainer.data.pair import BatchLayout, Example, Pair
from tokenreward_trainer.model.router_loss import router_loss
from tokenreward_trainer.model.scorable import make_scorable
from tokenreward_trainer.model.scoring import attending, score
from tokenreward_trainer.training.config import PreferenceConfig
from tokenreward_trainer.training.trainer import PreferenceTrainer

MakeConfig = Callable[..., PreferenceConfig]
MakePairs = Callable[..., list[Pair]]
SIZES = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "initializer_range": 0.3,
    "pad_token_id": 0,
}


def mixtral(**changes: object) -> PreTrainedModel:
    torch.manual_seed(0)
    return MixtralForCausalLM(MixtralConfig(**SIZES, num_local_experts=4, num_experts_per_tok=2, **changes))


def qwen() -> PreTrainedModel:
    torch.manual_seed(0)
    experts = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16, "head_dim": 8}
    return Qwen3MoeForCausalLM(Qwen3MoeConfig(**SIZES, **experts))


@pytest.mark.parametrize("make", [mixtral, qwen])
@pytest.mark.parametrize("layout", ["packed", "padded"])
def test_it_is_what_the_model_says_of_the_same_tokens(make: Callable[[], PreTrainedModel], layout: BatchLayout) -> None:
    model = make().eval()
    pairs = [Pair(name, (5, 6, 7), (8, 9), (8, 9)) for name in "ab"]
    logits = model(input_ids=torch.tensor([[5, 6, 7, 8, 9]]), output_router_logits=True).router_logits
    read = [0, 1, 2, 3, 4, 3, 4] if layout == "packed" else [0, 1, 2, 3, 4]  # A prompt once, or with each completion.
    own = router_loss(model, tuple(layer[read] for layer in logits), None)
    make_scorable(model)
    part = Collator(layout).part([Example(number, pair) for number, pair in enumerate(pairs)])
    with attending(model, layout):
        found = score(model, part, extras={"router"}).router_loss
    assert found is not None
    torch.testing.assert_close(found, own)
    assert found.requires_grad


def test_it_enters_the_loss_with_its_weight_and_reaches_the_router(config: MakeConfig, make_pairs: MakePairs) -> None:
    def trained(weight: float) -> tuple[dict[str, float], torch.Tensor]:
        trainer = PreferenceTrainer(
            mixtral(), config(router_aux_loss_coef=weight, max_steps=1, warmup_steps=0), make_pairs(8)
        )
        trainer.train()
        router = next(p for name, p in trainer.model.named_parameters() if "gate" in name)
        return trainer.state.log_history[0], router.detach()

    without, plain = trained(0.0)
    with_it, balanced = trained(10.0)
    assert "loss/router" not in without
    assert with_it["loss/router"] > 1
    assert with_it["loss"] == pytest.approx(with_it["loss/preference"] + with_it["loss/router"], rel=1e-3)
    assert not torch.equal(plain, balanced)


def test_a_configuration_that_asks_for_it_gets_its_own_weight(config: MakeConfig, make_pairs: MakePairs) -> None:
    model = mixtral(output_router_logits=True, router_aux_loss_coef=0.5)
    trainer = PreferenceTrainer(model, config(max_steps=1), make_pairs(8))
    trainer.train()
    assert trainer.state.log_history[0]["loss/router"] > 0.4


def test_a_model_without_experts_refuses_it(
    llama: Callable[..., PreTrainedModel], config: MakeConfig, make_pairs: MakePairs
) -> None:
    with pytest.raises(BadInput, match="LlamaForCausalLM has none"):
        PreferenceTrainer(llama(), config(router_aux_loss_coef=0.1), make_pairs(4))
