"""How strong a reward looks: one scale for everything that is shown together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

#: How many steps of strength there are where shades cannot be continuous.
LEVELS = 3
#: A scale never ends below this reward, so that noise does not look like judgement.
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

    def strength(self, reward: float) -> float:
        """Return the strength of a reward, in [-1, 1]."""
        return max(-1.0, min(1.0, reward / self.end))

    def level(self, reward: float) -> int:
        """Return the strength as a level in [-LEVELS, LEVELS]. 0 means too weak to mark."""
        strength = self.strength(reward)
        level = int(abs(strength) * LEVELS + 0.5)
        return level if strength >= 0 else -level
