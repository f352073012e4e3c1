"""What makes a checkpoint a token classifier that judges responses, and what config.json says of its training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: The classes in the order of the logits.
CLASSES = ("negative", "neutral", "positive")
#: What `tokenreward train-labeler` notes in config.json, which a model's hash covers.
TRAINING = "tokenreward_labeler"
#: How transformers names such architectures.
_ARCHITECTURE = "ForTokenClassification"


def names_token_classifier(config: Mapping[str, Any]) -> bool:
    """Whether a config.json is that of a token classifier."""
    named = config.get("architectures")
    return isinstance(named, list) and len(named) == 1 and str(named[0]).endswith(_ARCHITECTURE)


def training_data_hash(config: Mapping[str, Any]) -> str | None:
    """Return the hash of the data that a trained labeler has learned from; None for another model."""
    noted = config.get(TRAINING)
    found = noted.get("data_sha256") if isinstance(noted, Mapping) else None
    return found if isinstance(found, str) else None
