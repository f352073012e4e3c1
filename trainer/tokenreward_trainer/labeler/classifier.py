"""A token classifier made of a language model: the same body, and a head of three classes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from tokenreward.checkpoint.token_classifier import CLASSES
from tokenreward.errors import BadInput
from tokenreward_trainer.labeler.token_classes import IGNORED


def classifier_of(model: Any, layers: int) -> Any:
    """Return a classifier with the body of a language model, of which only the last layers and the head are trained.

    Args:
        model: A causal language model.
        layers: How many of its last layers are trained.

    Raises:
        BadInput: transformers has no token classifier of this architecture, or one whose layers have other names.
    """
    from transformers import AutoModelForTokenClassification

    config = model.config
    config.num_labels = len(CLASSES)
    config.id2label = dict(enumerate(CLASSES))
    config.label2id = {name: number for number, name in enumerate(CLASSES)}
    config.classifier_dropout = 0.0
    try:
        made = AutoModelForTokenClassification.from_config(config, dtype=model.dtype)
    except ValueError as error:
        raise _unfit(config.model_type) from error
    if not hasattr(made, "score") or not hasattr(made.base_model, "layers"):
        raise _unfit(config.model_type)
    made.base_model.load_state_dict(model.base_model.state_dict())
    made.name_or_path = model.name_or_path
    trained = [made.score, *([made.base_model.norm] if hasattr(made.base_model, "norm") else [])]
    trained += list(made.base_model.layers)[-layers:] if layers else []
    made.requires_grad_(False)
    for module in trained:
        module.requires_grad_(True)
    return made


def _unfit(architecture: str) -> BadInput:
    return BadInput(
        f"transformers has no token classifier of the architecture {architecture!r} that could be trained here: take a"
        " model of another one, such as llama or qwen2"
    )


def weighted_loss(counts: list[int]) -> Callable[[Any, dict[str, Any]], torch.Tensor]:
    """Return the cross entropy in which every class counts alike, however rare its tokens are.

    Args:
        counts: The tokens of each class in the training data.
    """
    weights = torch.tensor([sum(counts) / (len(counts) * max(1, count)) for count in counts])

    def loss(model: Any, batch: dict[str, Any]) -> torch.Tensor:
        given = dict(batch)
        labels = given.pop("labels")
        logits = model(**given).logits.float().flatten(0, 1)
        return torch.nn.functional.cross_entropy(
            logits, labels.flatten(), weight=weights.to(logits.device), ignore_index=IGNORED
        )

    return loss
