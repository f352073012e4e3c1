"""Which of two or more checkpoints answers better: `tokenreward evaluate`.

`answers` asks the checkpoints and `scores` scores what they said. `judging` puts pairs of answers before a judge.
`statistics` measures, `result` is what was found, `output` shows it and writes the answers for other tools. `run` is
the way from one to the next.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tokenreward_trainer.evaluation.judging.judge import Judging
    from tokenreward_trainer.evaluation.result import Difference, Evaluation, Judged, Slice, WinRate
    from tokenreward_trainer.evaluation.run import evaluate
    from tokenreward_trainer.evaluation.settings import Answering

__all__ = ["Answering", "Difference", "Evaluation", "Judged", "Judging", "Slice", "WinRate", "evaluate"]

#: Name -> its module. Each is imported when it is used, so that the command's help needs no torch.
_HOME = {
    "Answering": "settings",
    "Difference": "result",
    "Evaluation": "result",
    "Judged": "result",
    "Judging": "judging.judge",
    "Slice": "result",
    "WinRate": "result",
    "evaluate": "run",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
