"""What the trainer asks of a causal language model: the scores of a batch's completion tokens, and nothing else.

`make_scorable` (in `scorable`) teaches a model's forward to answer that. `score` asks for a batch and puts the answer
on the grid of completions.
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn

from tokenreward_trainer.data.pair import Batch, BatchLayout
from tokenreward_trainer.data.varlen_row import row_on_device
from tokenreward_trainer.model.chunked_lm_head import Reference, TokenScores
from tokenreward_trainer.model.packed_attention import PackedPairs, packed_attention
from tokenreward_trainer.model.scorable import ScoreRequest, base_of, head_of

_MODEL_INPUTS = ("input_ids", "attention_mask", "position_ids")


def score(
    model: nn.Module,
    batch: Batch,
    *,
    extras: Collection[str] = (),
    reference: Reference | None = None,
    candidates: Tensor | None = None,
) -> TokenScores:
    """Scores a batch's completion tokens. The packed layout must run within `attending`, backward pass included.

    Args:
        model: A scorable model, wrapped or not.
        batch: What `Collator.part` made, on the model's device.
        extras: See `token_scores`.
        reference: See `token_scores`.
        candidates: See `token_scores`.

    Returns:
        The scores on the `[2B, T]` grid of completions, chosen rows first, zero in the padding; those of candidates,
        which are many, stay `[N, K]`.
    """
    request = ScoreRequest(batch["positions"], batch["targets"], frozenset(extras), reference, candidates)
    flat = TokenScores(**model(**_inputs(batch), score=request))

    def grid(values: Tensor | None) -> Tensor | None:
        return None if values is None else on_grid(values, batch)

    logps = on_grid(flat.logps, batch)
    others = (grid(flat.log_collision), grid(flat.kl), grid(flat.ref_logps))
    return TokenScores(logps, *others, flat.candidates, flat.router_loss)


def on_grid(values: Tensor, batch: Batch) -> Tensor:
    """Puts one value a token, `[N]`, on the batch's `[2B, T]` grid of completions, zero in the padding."""
    mask: Tensor = batch["mask"]
    # index_copy rather than masked_scatter: its backward pass is deterministic on every device.
    return values.new_zeros(mask.numel()).index_copy(0, batch["slots"], values).view(mask.shape)


@torch.no_grad()
def reference_side(model: nn.Module, batch: Batch) -> Reference:
    """Returns the reference model's hidden states at the batch's completion tokens, and its head."""
    return Reference(hidden_states(model, batch), head_of(base_of(model)))


def hidden_states(model: nn.Module, batch: Batch) -> Tensor:
    """Returns the last hidden states that predict the batch's completion tokens, `[N, H]`, differentiable.

    Args:
        model: A scorable model, wrapped or not.
        batch: See `score`.
    """
    request = ScoreRequest(batch["positions"], batch["targets"], hidden_only=True)
    hidden: Tensor = model(**_inputs(batch), score=request)["hidden"]
    return hidden


def attending(model: nn.Module, layout: BatchLayout) -> AbstractContextManager[None]:
    """Returns the context in which a batch of that layout is run, forwards and backwards."""
    return packed_attention(base_of(model)) if layout == "packed" else nullcontext()


def _inputs(batch: Batch) -> Batch:
    inputs: Batch = {name: batch[name] for name in _MODEL_INPUTS if name in batch}
    if "pairs" in batch:
        lengths, varlen = batch["pairs"], None
        if "keys" in batch:
            varlen = row_on_device(lengths, batch["keys"], batch["query_starts"], batch["key_starts"])
        inputs["pairs"] = PackedPairs(lengths, batch.get("spread"), batch.get("gather"), varlen)
        # A four-dimensional mask goes through as it is, so that no [N, N] mask is built; packed attention ignores it.
        inputs["attention_mask"] = batch["input_ids"].new_empty(1, 1, 1, 1)
    return inputs
