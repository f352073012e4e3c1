"""How many token ids a model has rows for. Its embedding decides that, for the trainer as for a worker.

An embedding is often padded to a round number of rows, so that it has more of them than the tokenizer has tokens. Such
ids can be sampled and labeled, and they can be trained on.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from torch import nn
from transformers import TrainerCallback

from tokenreward.checkpoint.hub import find_model
from tokenreward.checkpoint.loading import load_config
from tokenreward.errors import BadInput
from tokenreward_trainer.model.scorable import base_of


def vocabulary_of(name: str) -> int:
    """Returns the rows of a model's embedding by its configuration, without loading its weights.

    Args:
        name: A model directory or hub name; an adapter's directory has its base's embedding.

    Raises:
        BadInput: The configuration cannot be read.
    """
    adapter = Path(name).expanduser() / "adapter_config.json"
    if adapter.exists() and not adapter.with_name("config.json").exists():
        name = str(json.loads(adapter.read_bytes())["base_model_name_or_path"])
    config = load_config(find_model(name, weights=False))
    try:
        return int(config.get_text_config().vocab_size)
    except AttributeError as error:
        raise BadInput(f"model.name = {name!r}: its configuration has no vocabulary: {error}") from None


def rows_of(model: nn.Module) -> int:
    """Returns the rows of a model's embedding, which its configuration knows where the weights are in shards."""
    return int(base_of(model).config.get_text_config().vocab_size)


def padding_of(model: nn.Module) -> int:
    """Returns an id for padding, which attention never sees: the model's own where it is a row of the embedding."""
    pad = base_of(model).config.get_text_config().pad_token_id
    return pad if isinstance(pad, int) and 0 <= pad < rows_of(model) else 0


class PaddingWithinEmbedding(TrainerCallback):  # type: ignore[misc]
    """Takes a padding id without a row out of the model's configuration, where the Trainer has put the tokenizer's.

    A tokenizer that was given a padding token may have one more token than the model has rows. No text holds it, so
    that training needs no row for it, but a model whose configuration names it could not be loaded again.
    """

    def on_train_begin(self, args: Any, state: Any, control: Any, model: nn.Module, **kwargs: Any) -> None:
        """Looks at the model as it is about to be trained."""
        base = base_of(model)
        for config in (base.config, base.config.get_text_config(), base.generation_config):
            pad = getattr(config, "pad_token_id", None)
            if isinstance(pad, int) and pad >= rows_of(base):
                config.pad_token_id = None
