"""Losses of pairs and of single responses: one small file each, found by name."""

from __future__ import annotations

from collections.abc import Mapping

from tokenreward_trainer.losses.base import Completions, Hyperparameters, Method, PairLoss
from tokenreward_trainer.losses.confpo import CONFPO
from tokenreward_trainer.losses.cpo import CPO
from tokenreward_trainer.losses.dpo import DPO
from tokenreward_trainer.losses.hinge import HINGE
from tokenreward_trainer.losses.ipo import IPO
from tokenreward_trainer.losses.kto import KTO
from tokenreward_trainer.losses.opd import OPD
from tokenreward_trainer.losses.orpo import ORPO
from tokenreward_trainer.losses.robust import ROBUST
from tokenreward_trainer.losses.sepo import SEPO
from tokenreward_trainer.losses.sft import SFT
from tokenreward_trainer.losses.sft_term import sft_term
from tokenreward_trainer.losses.simpo import SIMPO
from tokenreward_trainer.losses.tdpo import TDPO1, TDPO2
from tokenreward_trainer.losses.tgdpo import TGDPO
from tokenreward_trainer.losses.tisdpo import TISDPO
from tokenreward_trainer.losses.wpo import WPO

__all__ = ["METHODS", "Completions", "Hyperparameters", "Method", "PairLoss", "sft_term"]

_PAIRWISE = (DPO, SIMPO, WPO, IPO, HINGE, ROBUST, CPO, ORPO, KTO)
_ON_TOKENS = (TDPO1, TDPO2, SEPO, TISDPO, TGDPO, CONFPO)
_ON_RESPONSES = (SFT, OPD)

#: Every method by its name in options.
METHODS: Mapping[str, Method] = {method.name: method for method in (*_PAIRWISE, *_ON_TOKENS, *_ON_RESPONSES)}
