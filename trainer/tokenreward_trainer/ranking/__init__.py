"""Best and worst of the sampled responses, by a scorer: `tokenreward rank`.

`groups` reads what was sampled and what a stronger model adds; `pair_selection` picks the pair; `rank_file` is the
loop, in segments that survive being killed.
"""

from __future__ import annotations

from tokenreward_trainer.ranking.pair_selection import Ranking
from tokenreward_trainer.ranking.rank_file import rank_file

__all__ = ["Ranking", "rank_file"]
