"""Which of two or more checkpoints answers better: `tokenreward evaluate`.

`answers` asks the checkpoints and `scores` scores what they said. `judging` puts pairs of answers before a judge.
`statistics` measures, `result` is what was found, `output` shows it and writes the answers for other tools. `run` is
the way from one to the next.
"""

from __future__ import annotations

from tokenreward_trainer.evaluation.judging.judge import Judging
from tokenreward_trainer.evaluation.result import Difference, Evaluation, Judged, Slice, WinRate
from tokenreward_trainer.evaluation.run import evaluate
from tokenreward_trainer.evaluation.settings import Answering

__all__ = ["Answering", "Difference", "Evaluation", "Judged", "Judging", "Slice", "WinRate", "evaluate"]
