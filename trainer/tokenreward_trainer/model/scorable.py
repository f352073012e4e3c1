"""Teaches a model's forward to answer with token scores, so that DDP, FSDP, PEFT and autocast wrap it as usual."""

from __future__ import annotations

import functools
import types
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn
from transformers import PreTrainedModel

from tokenreward.errors import BadInput
from tokenreward_trainer.model.chunked_lm_head import Reference, TokenScores, token_scores
from tokenreward_trainer.model.lm_head import Head
from tokenreward_trainer.model.router_loss import router_loss


@dataclass(frozen=True, slots=True)
class ScoreRequest:
    """What a scorable model's forward takes as `score`.

    Attributes:
        positions: int64 `[N]`, indices into the flattened row of hidden states.
        targets: int64 `[N]`, the tokens predicted there.
        extras: See `token_scores`.
        reference: See `token_scores`.
        candidates: See `token_scores`.
        hidden_only: Give the hidden states instead, for the reference's side of a KL divergence.
    """

    positions: Tensor
    targets: Tensor
    extras: frozenset[str] = frozenset()
    reference: Reference | None = None
    candidates: Tensor | None = None
    hidden_only: bool = False


def base_of(model: nn.Module) -> PreTrainedModel:
    """Returns the model itself, without the wrappers of PEFT and of several processes."""
    found: Any = model
    while not isinstance(found, PreTrainedModel):
        found = found.get_base_model() if hasattr(found, "get_base_model") else found.module
    return found


def head_of(model: PreTrainedModel) -> Head:
    """Returns the model's LM head as it is now.

    Raises:
        BadInput: The head is not one plain linear layer.
    """
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
    """Teaches the model's forward the keyword `score`; without it, the forward is the original.

    Raises:
        BadInput: The model's LM head is not one plain linear layer.
    """
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
        if "router" in score.extras:
            given["output_router_logits"] = True
        output = _backbone(self)(*args, use_cache=False, **given)
        hidden = output.last_hidden_state.flatten(0, 1).index_select(0, score.positions)
        if score.hidden_only:
            return {"hidden": hidden}

        balance = None
        if "router" in score.extras:
            balance = router_loss(self, output.router_logits, given.get("attention_mask"))

        def scores_of(hidden: Tensor) -> dict[str, Tensor | None]:
            found = token_scores(
                hidden,
                score.targets,
                head_of(self),
                extras=score.extras,
                reference=score.reference,
                candidates=score.candidates,
            )
            found = replace(found, router_loss=balance)
            return {name: getattr(found, name) for name in TokenScores.__slots__}

        return self.get_output_embeddings()(hidden, then=scores_of)

    forward.answers_scores = True  # type: ignore[attr-defined]
    base.forward = types.MethodType(forward, base)
    head = base.get_output_embeddings()
    head.forward = types.MethodType(_head_forward, head)


def _head_forward(
    self: nn.Module, hidden: Tensor, then: Callable[[Tensor], dict[str, Tensor | None]] | None = None
) -> Any:
    """The LM head's forward: what `then` makes of the hidden states, or else the layer's own logits.

    The head's weight is read within the layer's own forward, because those who keep weights in shards (FSDP2, ZeRO-3)
    gather them for as long as a layer's forward, and then its backward, run.
    """
    return type(self).forward(self, hidden) if then is None else then(hidden)


def _backbone(model: PreTrainedModel) -> PreTrainedModel:
    """The model without its head. Llama 4's class names it by another name than its own."""
    if model.base_model is not model:
        return model.base_model
    inner = [child for child in model.children() if isinstance(child, PreTrainedModel)]
    return inner[0] if len(inner) == 1 else model
