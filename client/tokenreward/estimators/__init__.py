"""Estimators: one small file each, found by name.

A new one needs no change in an engine, only the branches it reads and a function.
"""

from __future__ import annotations

from collections.abc import Mapping

from tokenreward.errors import UnknownName
from tokenreward.estimators.base import (
    MOST_REWARD,
    Estimator,
    Evidence,
    LogProbs,
    Moments,
    Outcome,
    Rewards,
    squash,
)
from tokenreward.estimators.contrast import CONTRAST
from tokenreward.estimators.difference import DIFFERENCE
from tokenreward.estimators.edit import EDIT
from tokenreward.estimators.evidence import EVIDENCE
from tokenreward.estimators.lp_word import LP_WORD
from tokenreward.estimators.privileged import PRIVILEGED
from tokenreward.estimators.rlcsd import RLCSD
from tokenreward.estimators.rlmec import RLMEC
from tokenreward.estimators.rto import RTO
from tokenreward.estimators.step import STEP
from tokenreward.estimators.surprisal import SURPRISAL
from tokenreward.estimators.tis import TIS
from tokenreward.estimators.tlcr import TLCR
from tokenreward.estimators.unrelated import UNRELATED
from tokenreward.estimators.z_word import Z_WORD

__all__ = [
    "MOST_REWARD",
    "Estimator",
    "Evidence",
    "LogProbs",
    "Moments",
    "Outcome",
    "Rewards",
    "resolve",
    "shipped",
    "squash",
]

_ALL = (
    CONTRAST,
    EVIDENCE,
    Z_WORD,
    LP_WORD,
    STEP,
    SURPRISAL,
    DIFFERENCE,
    TIS,
    RLCSD,
    PRIVILEGED,
    UNRELATED,
    RLMEC,
    EDIT,
    RTO,
    TLCR,
)
_SHIPPED: Mapping[str, Estimator] = {estimator.name: estimator for estimator in _ALL}


def shipped() -> Mapping[str, Estimator]:
    """Return every estimator that comes with the package, by name."""
    return _SHIPPED


def resolve(name: str) -> Estimator:
    """Return the estimator of that name.

    Raises:
        UnknownName: There is none.
    """
    found = _SHIPPED.get(name)
    if found is None:
        raise UnknownName("estimator", name, sorted(_SHIPPED))
    return found
