"""What makes one response better than another: a number for each response of a group.

One scorer a module; `registry` maps a name to what makes it from the rest of its specification, as in
`reward_model:DIRECTORY`. Scorers are made late, so that naming one costs no import of torch.
"""

from __future__ import annotations

from tokenreward_trainer.scorers.base import Group, Scorer
from tokenreward_trainer.scorers.registry import SCORERS, identity_of, scorer_of

__all__ = ["SCORERS", "Group", "Scorer", "identity_of", "scorer_of"]
