"""How strong a reward looks: on a scale that is the same everywhere, or on one that is stretched to some rewards."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

#: How many steps of strength there are where shades cannot be continuous.
LEVELS = 3
#: The end of the fixed scale: σ(d) - 1/2 where a token is three times likelier under one prompt than under the other.
_FIXED = 0.25
#: The same for rewards without a bound, which are d itself.
_FIXED_UNBOUNDED = math.log(3)
_BOUND = 0.5
#: A stretched scale never ends below this reward, so that noise does not look like judgement.
_FLOOR = 0.02


@dataclass(frozen=True)
class Scale:
    """A scale of strength.

    Attributes:
        end: The size of a reward that has full strength. Beyond it, nothing looks stronger.
    """

    end: float

    @classmethod
    def of(cls, rewards: Iterable[float]) -> Scale:
        """Return a scale that ends where 95% of the rewards do, so that one outlier does not wash out the rest."""
        sizes = sorted(abs(reward) for reward in rewards)
        return cls(max(_FLOOR, sizes[int(0.95 * (len(sizes) - 1))] if sizes else 0.0))

    @classmethod
    def fixed(cls, rewards: Iterable[float]) -> Scale:
        """Return the scale that is the same for all rewards of their kind, bounded or not."""
        return cls(_FIXED_UNBOUNDED if any(abs(reward) > _BOUND for reward in rewards) else _FIXED)

    def strength(self, reward: float) -> float:
        """Return the strength of a reward, in [-1, 1]."""
        return max(-1.0, min(1.0, reward / self.end))

    def level(self, reward: float) -> int:
        """Return the strength as a level in [-LEVELS, LEVELS]. 0 means too weak to mark."""
        strength = self.strength(reward)
        level = int(abs(strength) * LEVELS + 0.5)
        return level if strength >= 0 else -level
