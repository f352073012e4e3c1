"""What the trainer asks of a causal language model: the scores of a batch's completion tokens, and nothing else.

`make_scorable` teaches a model's forward to answer that, so that DDP, FSDP, PEFT and autocast wrap it as they wrap any
forward. `choose_layout` proves, on a few tokens, that the answer is what the model's own logits say.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Collection
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from tokenreward.errors import BadInput
from tokenreward_trainer.data.pair import Batch, Layout
from tokenreward_trainer.model.chunked_lm_head import Head, Reference, TokenScores, token_scores
from tokenreward_trainer.model.packed_attention import packed_attention

_MODEL_INPUTS = ("input_ids", "attention_mask", "position_ids", "pairs")


@dataclass(frozen=True, slots=True)
class ScoreRequest:
    """What a scorable model's forward takes as `score`.

    positions: [N] indices into the flattened row of hidden states.  targets: [N] the tokens predicted there.
    extras, reference: see `token_scores`.  hidden_only: give the hidden states instead, for a KL's reference side.
    """

    positions: Tensor
    targets: Tensor
    extras: frozenset[str] = frozenset()
    reference: Reference | None = None
    hidden_only: bool = False


def base_of(model: nn.Module) -> PreTrainedModel:
    """The model itself, without the wrappers of PEFT and of several processes."""
    found: Any = model
    while not isinstance(found, PreTrainedModel):
        found = found.get_base_model() if hasattr(found, "get_base_model") else found.module
    return found


def head_of(model: PreTrainedModel) -> Head:
    """The model's LM head as it is now. Raises BadInput where it is not one plain linear layer."""
    layer = model.get_output_embeddings()
    if not isinstance(layer, nn.Linear):
        raise BadInput(
            f"the LM head of {type(model).__name__} is a {type(layer).__name__}, but log-probs are computed from its "
            "weight in chunks, so it must be a plain linear layer: take 'lm_head' out of lora.target_modules and "
            "modules_to_save"
        )
    config = model.config.get_text_config()
    scale = next((s for s in (getattr(config, n, None) for n in ("logit_scale", "lm_head_multiplier")) if s), 1.0)
    if getattr(config, "logits_scaling", None):  # Granite divides by it.
        scale = 1.0 / config.logits_scaling
    return Head(layer.weight, layer.bias, scale, getattr(config, "final_logit_softcapping", None))


def make_scorable(model: nn.Module) -> None:
    """Teach the model's forward the keyword `score`; without it, the forward is the original."""
    base = base_of(model)
    head_of(base)
    if (
        getattr(base.config.get_text_config(), "attn_logit_softcapping", None)
        and base.config._attn_implementation == "sdpa"
    ):
        # transformers' sdpa drops attention soft-capping without a word, which makes Gemma 2 another model.
        base.set_attn_implementation("eager")
    original = base.forward
    if hasattr(original, "answers_scores"):
        return

    @functools.wraps(type(base).forward)  # `generate` reads the signature.
    def forward(self: PreTrainedModel, *args: Any, score: ScoreRequest | None = None, **kwargs: Any) -> Any:
        if score is None:
            return original(*args, **kwargs)
        # PEFT passes every argument it knows of, most of them None, which a backbone need not know.
        given = {name: value for name, value in kwargs.items() if value is not None}
        output = self.base_model(*args, use_cache=False, **given)
        hidden = output.last_hidden_state.flatten(0, 1).index_select(0, score.positions)
        if score.hidden_only:
            return {"hidden": hidden}
        scores = token_scores(hidden, score.targets, head_of(self), extras=score.extras, reference=score.reference)
        return {name: getattr(scores, name) for name in TokenScores.__slots__}

    forward.answers_scores = True  # type: ignore[attr-defined]
    base.forward = types.MethodType(forward, base)


def score(
    model: nn.Module, batch: Batch, *, extras: Collection[str] = (), reference: Reference | None = None
) -> TokenScores:
    """Scores of the batch's completion tokens, each on the [2B, T] grid (zero in the padding).

    The packed layout must run within `attending(model, batch)`, backward pass included.
    """
    request = ScoreRequest(batch["positions"], batch["targets"], frozenset(extras), reference)
    flat = TokenScores(**model(**_inputs(batch), score=request))
    mask: Tensor = batch["mask"]

    def grid(values: Tensor | None) -> Tensor | None:
        if values is None:
            return None
        # index_copy rather than masked_scatter: its backward pass is deterministic on every device.
        return values.new_zeros(mask.numel()).index_copy(0, batch["slots"], values).view(mask.shape)

    logps = grid(flat.logps)
    assert logps is not None
    return TokenScores(logps, grid(flat.log_collision), grid(flat.kl), grid(flat.ref_logps))


@torch.no_grad()
def reference_side(model: nn.Module, batch: Batch) -> Reference:
    """The hidden states of the reference model at the batch's completion tokens, and its head."""
    request = ScoreRequest(batch["positions"], batch["targets"], hidden_only=True)
    return Reference(model(**_inputs(batch), score=request)["hidden"], head_of(base_of(model)))


def attending(model: nn.Module, layout: Layout) -> AbstractContextManager[None]:
    """The context in which a batch of that layout is run, forwards and backwards."""
    return packed_attention(base_of(model)) if layout == "packed" else nullcontext()


def _inputs(batch: Batch) -> Batch:
    inputs: Batch = {name: batch[name] for name in _MODEL_INPUTS if name in batch}
    if "pairs" in inputs:
        # A four-dimensional mask goes through as it is, so that no [N, N] mask is built; packed attention ignores it.
        inputs["attention_mask"] = batch["input_ids"].new_empty(1, 1, 1, 1)
    return inputs


# ---- is it right? ---------------------------------------------------------------------------------------
