"""Preference losses: one small file each, found by name."""

from __future__ import annotations

from collections.abc import Mapping

from tokenreward_trainer.losses.base import Completions, Hyperparameters, Method, PairLoss
from tokenreward_trainer.losses.dpo import DPO
from tokenreward_trainer.losses.sepo import SEPO
from tokenreward_trainer.losses.sft_term import sft_term
from tokenreward_trainer.losses.simpo import SIMPO
from tokenreward_trainer.losses.tdpo import TDPO1, TDPO2
from tokenreward_trainer.losses.wpo import WPO

__all__ = ["METHODS", "Completions", "Hyperparameters", "Method", "PairLoss", "sft_term"]

#: Every method by its name in options.
METHODS: Mapping[str, Method] = {method.name: method for method in (DPO, SIMPO, WPO, TDPO1, TDPO2, SEPO)}
