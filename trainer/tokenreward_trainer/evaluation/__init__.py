"""Which of two or more checkpoints answers better: `tokenreward evaluate`.

`answers` asks the checkpoints, `scores` scores what they said, `statistics` measures, `result` is what comes of it,
`table` and `page` show it; `run` is the way from one to the next.
"""

from __future__ import annotations

from tokenreward_trainer.evaluation.result import Difference, Evaluation, Slice
from tokenreward_trainer.evaluation.run import evaluate
from tokenreward_trainer.evaluation.settings import Answering

__all__ = ["Answering", "Difference", "Evaluation", "Slice", "evaluate"]
