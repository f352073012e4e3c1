"""The whole loop in one command: prompts, sample, rank, label, train, report: `tokenreward run RECIPE.toml`.

`recipe` is the file; `stages` is what each stage does; `folders` is how a stage is known by the hash of what it was
made from; `run` goes through them, and does again only what changed; `report` is the page at the end.
"""

from __future__ import annotations

from tokenreward_trainer.pipeline.recipe import Recipe, read_recipe
from tokenreward_trainer.pipeline.run import run_recipe

__all__ = ["Recipe", "read_recipe", "run_recipe"]
