"""Conversations with several turns in training: what is not the assistant's is read, and counts nowhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from tests.trainer.test_data import provenance
from tokenreward.chat_format import ChatFormat
from tokenreward.errors import BadInput
from tokenreward.schema import Item
from tokenreward_trainer.data.collator import Collator
from tokenreward_trainer.data.labeled_pairs import pairs_of
from tokenreward_trainer.data.pair import BatchLayout, Example, Pair
from tokenreward_trainer.data.truncation import truncate
from tokenreward_trainer.losses import Completions
from tokenreward_trainer.model.scorable import make_scorable
from tokenreward_trainer.model.scoring import attending, score
from tokenreward_trainer.training.config import PreferenceConfig
from tokenreward_trainer.training.model_labels import surprisal_labels
from tokenreward_trainer.training.objective import objective_of
from tokenreward_trainer.training.pair_scoring import score_pairs
from tokenreward_trainer.training.trainer import PreferenceTrainer

pytestmark = pytest.mark.trains

MakeConfig = Callable[..., PreferenceConfig]
MakeModel = Callable[..., LlamaForCausalLM]
MakePairs = Callable[..., list[Pair]]


def f32(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


#: The chosen side has a user's token, 14, between two turns.
PAIR = Pair("a", (11, 12), (13, 14, 15), (16,), f32(0.1, 0.0, 0.3), f32(-0.4), np.array([True, False, True]))


def masked(pairs: list[Pair], *, seed: int = 0) -> list[Pair]:
    """The pairs with some tokens of every completion that has several masked, never the first."""
    random = np.random.default_rng(seed)

    def mask(length: int) -> np.ndarray:
        kept = random.random(length) < 0.5
        kept[0] = True
        return kept

    return [replace(p, chosen_mask=mask(len(p.chosen)), rejected_mask=mask(len(p.rejected))) for p in pairs]


@pytest.mark.parametrize("layout", ["packed", "padded"])
def test_a_masked_token_is_read_and_has_no_place_among_the_completions(layout: BatchLayout) -> None:
    references = (f32(-1, -2, -3), f32(-4))
    part = Collator(layout).part([Example(0, PAIR, references)])
    assert {11, 12, 13, 14, 15, 16} <= {*part["input_ids"].flatten().tolist()}
    assert part["targets"].tolist() == [13, 15, 16]
    positions = [1, 3, 1] if layout == "packed" else [1, 3, 6]
    assert part["positions"].tolist() == positions
    assert part["mask"].tolist() == [[True, True], [True, False]]
    torch.testing.assert_close(part["token_rewards"], torch.tensor([[0.1, 0.3], [-0.4, 0.0]]))
    assert part["ref_logps"].tolist() == [[-1, -3], [-4, 0]]


def by_hand(model: LlamaForCausalLM, pairs: list[Pair], references: list[Any], args: PreferenceConfig) -> Tensor:
    """The mean loss of pairs whose tokens are all scored, the masked ones then left out of every sum."""
    everywhere = [replace(pair, chosen_mask=None, rejected_mask=None) for pair in pairs]
    examples = [Example(n, pair, ref) for n, (pair, ref) in enumerate(zip(everywhere, references, strict=True))]
    part = Collator("packed", dtype=torch.float64).part(examples)
    with attending(model, "packed"):
        scores = score(model, part, extras=args.chosen_method.extras)
    counted = [pair.counted[0] for pair in pairs] + [pair.counted[1] for pair in pairs]
    mask = torch.zeros_like(part["mask"])
    for row, kept in enumerate(counted):
        mask[row, : len(kept)] = torch.from_numpy(kept)
    sides = [
        Completions(*(None if grid is None else grid.chunk(2)[side] for grid in (scores.logps, mask, part["ref_logps"],
                                                                              part["token_rewards"],
                                                                              scores.log_collision)))
        for side in (0, 1)
    ]  # fmt: skip
    return objective_of(args, *sides, args.reg_alpha).total.mean()


@pytest.mark.parametrize(
    "options",
    [
        {"method": "dpo", "reg_alpha": 0.25, "sft_weight": 0.5},
        {"method": "simpo", "beta": 2.0, "reg_alpha": 0.25},
        {"method": "wpo", "reg_alpha": 0.25},
        {"method": "sepo", "beta": None},
    ],
    ids=lambda o: o["method"],
)
def test_the_step_is_that_of_the_tokens_that_count(
    options: dict[str, Any], llama: MakeModel, make_pairs: MakePairs, config: MakeConfig
) -> None:
    pairs = masked(make_pairs(4))
    one_step = {"max_steps": 1, "optim": "sgd", "learning_rate": 1.0, "lr_scheduler_type": "constant"}
    args = config(warmup_steps=0, max_grad_norm=0, beta=options.pop("beta", 0.3), **one_step, **options)
    model, reference = llama(torch.float64), llama(torch.float64, seed=1)
    make_scorable(model), make_scorable(reference)
    known = score_pairs(reference, pairs, layout="packed", max_tokens=10_000)
    assert [len(row) for pair in known for row in pair] == [len(y) for p in pairs for y in (p.chosen, p.rejected)]
    loss = by_hand(model, pairs, known, args)
    loss.backward()
    expected = [None if p.grad is None else p.grad.clone() for p in model.parameters()]

    trained = llama(torch.float64)
    before = [p.detach().clone() for p in trained.parameters()]
    ref_model = llama(torch.float64, seed=1) if args.reference_mode != "none" else None
    trainer = PreferenceTrainer(trained, args, pairs, ref_model=ref_model)
    trainer.train()
    assert trainer.state.log_history[0]["loss"] == pytest.approx(loss.item(), abs=1e-6)  # it is logged as float32
    for old, new, gradient in zip(before, trained.parameters(), expected, strict=True):
        if gradient is not None:
            torch.testing.assert_close(old - new.detach(), gradient, atol=1e-9, rtol=1e-7)


def test_a_masked_tokens_label_and_reference_are_not_even_read(
    llama: MakeModel, make_pairs: MakePairs, config: MakeConfig
) -> None:
    pairs = masked(make_pairs(4))
    other = [replace(p, chosen_token_rewards=np.where(p.counted[0], p.chosen_token_rewards, np.nan)) for p in pairs]
    losses = []
    for data in (pairs, other):
        trainer = PreferenceTrainer(
            llama(torch.float64), config(max_steps=1, reg_alpha=0.25), data, ref_model=llama(torch.float64, seed=1)
        )
        trainer.train()
        losses.append({k: v for k, v in trainer.state.log_history[0].items() if "/" in k or k in ("loss", "grad_norm")})
    assert losses[0] == losses[1]
    assert all(np.isfinite(value) for value in losses[0].values())


def test_surprisal_is_centred_on_the_tokens_that_count(llama: MakeModel, make_pairs: MakePairs) -> None:
    pairs = masked(make_pairs(3, labeled=False))
    model = llama(torch.float64)
    make_scorable(model)
    logps = score_pairs(model, pairs, layout="packed", max_tokens=10_000)
    own = [
        row[kept] for pair, rows in zip(pairs, logps, strict=True) for row, kept in zip(rows, pair.counted, strict=True)
    ]
    (first, *_) = surprisal_labels(pairs, model)
    expected = np.tanh((logps[0][0] - np.concatenate(own).mean()) / 2) / 2
    np.testing.assert_allclose(first.chosen_token_rewards, expected, atol=1e-6)


def test_truncation_cuts_the_masks_with_the_ids() -> None:
    cut = truncate(PAIR, 3, 1)
    assert (cut.chosen, cut.chosen_mask.tolist(), cut.rejected_mask) == ((13, 14), [True, False], None)  # type: ignore[union-attr]


ASK, SURE = {"role": "user", "content": "2+2?"}, {"role": "user", "content": "Sure?"}


def row_of(tokenizer: PreTrainedTokenizerFast, **changes: Any) -> dict[str, Any]:
    """A pair as `tokenreward label --score all` writes it."""
    chat = ChatFormat.from_pretrained_tokenizer(tokenizer)
    four, yes, five = ({"role": "assistant", "content": text} for text in ("Four.", "Yes.", "Five."))
    row: dict[str, Any] = {"chosen": [ASK, four, SURE, yes], "rejected": [ASK, five]}
    for side in ("chosen", "rejected"):
        done = chat.completion(Item(prompt=[ASK], response=row[side][1:], score="all"))
        assert done.turns is not None
        row |= {
            f"{side}_token_ids": done.response,
            f"{side}_token_rewards": [0.25 if turn >= 0 else 0.0 for turn in done.turns],
            f"{side}_token_turns": done.turns,
            f"{side}_token_error": None,
        }
    return row | changes


def test_labeled_conversations_are_read_with_what_to_train_on(tokenizer: PreTrainedTokenizerFast) -> None:
    row = row_of(tokenizer)
    (pair,) = pairs_of([row], tokenizer, provenance(tokenizer)).pairs
    assert tokenizer.decode(pair.prompt).endswith("2+2?<|im_end|>\n<|im_start|>assistant\n")
    kept = [token for token, counts in zip(pair.chosen, pair.counted[0], strict=True) if counts]
    assert tokenizer.decode(kept) == "Four.<|im_end|>Yes.<|im_end|>"
    assert pair.rejected_mask is not None
    assert pair.rejected_mask.all()
    assert pair.chosen_token_rewards is not None
    assert {*pair.chosen_token_rewards[~pair.counted[0]].tolist()} == {0.0}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"chosen_token_turns": None}, "chosen_token_turns has not one turn"),
        ({"chosen_token_turns": [0]}, "chosen_token_turns has not one turn"),
        ({"rejected_token_turns": [-1] * 6}, "rejected_token_turns has no turn"),
    ],
)
def test_turns_that_do_not_fit_the_ids_are_refused(
    tokenizer: PreTrainedTokenizerFast, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(BadInput, match=message):
        pairs_of([row_of(tokenizer, **changes)], tokenizer, provenance(tokenizer))


def test_ids_that_the_template_does_not_make_of_the_conversation_are_refused(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    row = row_of(tokenizer)
    ids = [*row["chosen_token_ids"]]
    ids[0] += 1
    with pytest.raises(BadInput, match="row 0, chosen: the labeled ids are not those"):
        pairs_of([row | {"chosen_token_ids": ids}], tokenizer, provenance(tokenizer))
