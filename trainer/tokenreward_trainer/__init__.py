"""tokenreward_trainer: preference optimisation on token rewards (T-REG, arXiv 2412.02685).

    from tokenreward_trainer import PreferenceConfig, PreferenceTrainer, load_pairs

Names are imported when first used, so that importing the package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "DoubtfulOption": "doubtful",
    "METHODS": "losses",
    "Pair": "data.pair",
    "PairDataset": "training.pair_dataset",
    "PreferenceConfig": "training.config",
    "PreferenceTrainer": "training.trainer",
    "load_pairs": "data.labeled_pairs",
    "pairs_of": "data.labeled_pairs",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
