"""The whole loop in one command: prompts, sample, rank, label, train, report: `tokenreward run RECIPE.toml`.

`recipe` is the file; `stage` is what a stage is, `stages` has one module for each, and `stage_list` puts them in order;
`stage_folder` is how a stage is known by the hash of what it was made from; `run` goes through them, and does again
only what changed.
"""

from __future__ import annotations

from tokenreward_trainer.pipeline.recipe import Recipe, read_recipe
from tokenreward_trainer.pipeline.run import run_recipe

__all__ = ["Recipe", "read_recipe", "run_recipe"]
