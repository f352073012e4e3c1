"""SFT on single responses: what is read of a row, what the loss is a mean over, and that pairs and responses agree."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from tokenreward.errors import BadInput
from tokenreward_trainer.data.labeled_pairs import load_pairs, pairs_of
from tokenreward_trainer.data.pair import Pair
from tokenreward_trainer.model.scorable import make_scorable
from tokenreward_trainer.training.config import PreferenceConfig
from tokenreward_trainer.training.pair_scoring import score_pairs
from tokenreward_trainer.training.run import train_run
from tokenreward_trainer.training.settings import run_of
from tokenreward_trainer.training.trainer import PreferenceTrainer

pytestmark = pytest.mark.trains

MakeConfig = Callable[..., PreferenceConfig]
MakeModel = Callable[..., LlamaForCausalLM]
MakePairs = Callable[..., list[Pair]]

TALK: dict[str, Any] = {
    "messages": [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello"},
        {"role": "user", "content": "And?"},
        {"role": "assistant", "content": "Bye"},
    ]
}


def singles(pairs: list[Pair]) -> list[Pair]:
    return [Pair(pair.id, pair.prompt, pair.chosen, ()) for pair in pairs]


def own_loss(model: LlamaForCausalLM, pairs: list[Pair]) -> Tensor:
    """The cross-entropy of the model's own logits over all response tokens of all pairs."""
    logits, targets = [], []
    for pair in pairs:
        out = model(input_ids=torch.tensor([pair.prompt + pair.chosen])).logits[0]
        logits.append(out[len(pair.prompt) - 1 : -1])
        targets.append(torch.tensor(pair.chosen))
    return torch.nn.functional.cross_entropy(torch.cat(logits), torch.cat(targets))


@pytest.mark.parametrize("layout", ["packed", "padded"])
def test_a_single_response_is_scored_as_the_chosen_side_of_a_pair(
    layout: Any, llama: MakeModel, make_pairs: MakePairs
) -> None:
    model, pairs = llama(torch.float64), make_pairs(6)
    make_scorable(model)
    alone = score_pairs(model, singles(pairs), layout=layout, max_tokens=60)
    for (chosen, nothing), (expected, _) in zip(
        alone, score_pairs(model, pairs, layout=layout, max_tokens=60), strict=True
    ):
        assert nothing.shape == (0,)
        torch.testing.assert_close(torch.tensor(chosen), torch.tensor(expected), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("layout", ["packed", "padded"])
def test_the_loss_is_the_cross_entropy_over_the_tokens_of_the_batch(
    layout: str, llama: MakeModel, make_pairs: MakePairs, config: MakeConfig
) -> None:
    one_step = {"max_steps": 1, "optim": "sgd", "learning_rate": 1.0, "lr_scheduler_type": "constant"}
    options = config(method="sft", layout=layout, warmup_steps=0, max_grad_norm=0, **one_step)
    model, pairs = llama(torch.float64), make_pairs(4)
    loss = own_loss(model, pairs)
    loss.backward()
    expected = [p.detach() - p.grad for p in model.parameters() if p.grad is not None]
    model.zero_grad()
    trainer = PreferenceTrainer(model, options, pairs)
    trainer.train()
    assert trainer.state.log_history[0]["loss"] == pytest.approx(loss.item(), rel=1e-5)
    assert "rewards/margins" not in trainer.state.log_history[0]
    torch.testing.assert_close([p.detach() for p in model.parameters()], expected, rtol=1e-8, atol=1e-10)


def test_the_loss_is_that_of_trls_sft_trainer(
    llama: MakeModel, tokenizer: PreTrainedTokenizerFast, config: MakeConfig, tmp_path: Path
) -> None:
    trl = pytest.importorskip("trl")
    from datasets import Dataset

    rows = [{"prompt": "Name a colour", "completion": "Blue."}, {"prompt": "2+2", "completion": "It is 4, I think."}]
    quiet: dict[str, Any] = {"use_cpu": True, "report_to": "none", "gradient_checkpointing": False, "bf16": False}
    theirs = trl.SFTTrainer(
        llama(),
        trl.SFTConfig(str(tmp_path / "trl"), max_length=None, **quiet),
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
    )
    pairs = []
    for number, row in enumerate(theirs.train_dataset):
        start = next(place for place, label in enumerate(row["labels"]) if label != -100)
        pairs.append(Pair(str(number), tuple(row["input_ids"][:start]), tuple(row["input_ids"][start:]), ()))
    ours = PreferenceTrainer(llama(), config(method="sft"), pairs)
    batch = theirs.data_collator([theirs.train_dataset[0], theirs.train_dataset[1]])
    expected = theirs.compute_loss(theirs.model, batch)
    found = ours.evaluate(pairs)["eval_loss"]
    assert found == pytest.approx(expected.item(), rel=1e-5)


def test_every_turn_of_the_assistant_in_a_conversation_is_trained_on(tokenizer: PreTrainedTokenizerFast) -> None:
    (pair,) = pairs_of([TALK], tokenizer, None, single=True).pairs
    assert pair.single
    assert pair.chosen_mask is not None
    trained = [token for token, counts in zip(pair.chosen, pair.chosen_mask, strict=True) if counts]
    assert tokenizer.decode(trained) == "Hello<|im_end|>Bye<|im_end|>"
    assert tokenizer.decode(pair.prompt).endswith("<|im_start|>assistant\n")


@pytest.mark.parametrize("column", ["response", "completion"])
def test_a_prompt_and_its_response_are_read(column: str, tokenizer: PreTrainedTokenizerFast) -> None:
    (pair,) = pairs_of([{"prompt": "Hi", column: "Yes"}], tokenizer, None, single=True).pairs
    assert tokenizer.decode(pair.chosen) == "Yes<|im_end|>"
    assert pair.chosen_mask is None


def test_sampled_ids_are_trained_on_as_they_are(tokenizer: PreTrainedTokenizerFast) -> None:
    row = {"prompt": "Hi", "response": "?", "token_ids": [70, 71, 2]}
    (pair,) = pairs_of([row], tokenizer, None, single=True).pairs
    assert pair.chosen == (70, 71, 2)


def test_without_two_responses_a_preference_method_has_nothing_to_compare(
    llama: MakeModel, make_pairs: MakePairs, config: MakeConfig, tokenizer: PreTrainedTokenizerFast
) -> None:
    with pytest.raises(BadInput, match="compares two responses, and 3 of 3 rows have one"):
        PreferenceTrainer(llama(), config(), singles(make_pairs(3)))
    with pytest.raises(BadInput, match="training needs `chosen` and `rejected` columns"):
        pairs_of([TALK], tokenizer, None)


def test_conversations_in_a_file_train_a_model(
    policy: Path, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    talks = [TALK | {"id": f"talk-{number}"} for number in range(8)]
    (tmp_path / "talks.jsonl").write_text("".join(json.dumps(talk) + "\n" for talk in talks))
    assert len(load_pairs(tmp_path / "talks.jsonl", tokenizer, single=True).pairs) == 8
    options: dict[str, Any] = {
        "method": "sft",
        "output_dir": str(tmp_path / "out"),
        "use_cpu": True,
        "disable_tqdm": True,
        "save_strategy": "no",
        "learning_rate": 1e-3,
        "lr_scheduler_type": "constant",
        "num_train_epochs": 4,
        "per_device_train_batch_size": 2,
        "logging_steps": 1,
    }
    data = {"train": str(tmp_path / "talks.jsonl"), "eval_share": 0.25}
    train_run(run_of({"model": {"name": str(policy), "dtype": "float32"}, "data": data, "train": options}))
    record = json.loads((tmp_path / "out" / "run.json").read_bytes())
    losses = [entry["loss"] for entry in record["log"] if "loss" in entry]
    assert losses[-1] < losses[0] - 0.1
    assert (record["name"], record["pairs"]) == ("SFT", 6)
    assert [response["side"] for response in record["examples"][0]["responses"]] == ["chosen"]
