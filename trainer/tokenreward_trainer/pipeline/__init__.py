"""The whole loop in one command: prompts, sample, rank, label, train, report: `tokenreward run RECIPE.toml`.

`recipe` is the file; `stage` is what a stage is, `stages` has one module for each, and `stage_list` puts them in order;
`stage_folder` is how a stage is known by the hash of what it was made from; `run` goes through them, and does again
only what changed.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tokenreward_trainer.pipeline.recipe import Recipe, read_recipe
    from tokenreward_trainer.pipeline.run import run_recipe

__all__ = ["Recipe", "read_recipe", "run_recipe"]

#: Name -> its module. Each is imported when it is used, so that the command's help needs no torch.
_HOME = {
    "Recipe": "recipe",
    "read_recipe": "recipe",
    "run_recipe": "run",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
