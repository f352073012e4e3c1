"""Estimators: one small file each, found by name.

A new one needs no change in an engine, only the branches it reads and a function.
"""

from __future__ import annotations

from collections.abc import Mapping

from tokenreward.errors import UnknownName
from tokenreward.estimators.base import Estimator, LogProbs, Rewards, squash
from tokenreward.estimators.contrast import CONTRAST
from tokenreward.estimators.evidence import EVIDENCE

__all__ = ["Estimator", "LogProbs", "Rewards", "resolve", "shipped", "squash"]

_SHIPPED: Mapping[str, Estimator] = {estimator.name: estimator for estimator in (CONTRAST, EVIDENCE)}


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
