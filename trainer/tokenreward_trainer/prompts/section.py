"""The [prompts] section of recipes and runs: a file, or prompts made by rule."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field

from tokenreward.errors import BadInput
from tokenreward_trainer.config_file import Positive, Section
from tokenreward_trainer.prompts.sets import parts_of, prompt_rows
from tokenreward_trainer.resumable.segments import read_rows


class Prompts(Section):
    """Where the prompts come from.

    Attributes:
        file: A file of rows with `prompt`.
        sets: Prompts made by rule instead, as in ["arithmetic:1", "format"].
        count: How many of them; of a file the first ones, None: all.
        seed: For prompts made by rule.
    """

    file: str | None = None
    sets: list[str] = Field(default_factory=list)
    count: Positive | None = None
    seed: int = 0


def check_prompts(section: Prompts) -> None:
    """Checks that a section says where its prompts come from.

    Raises:
        BadInput: It says it twice, not at all, or not how many.
    """
    if (section.file is None) == (not section.sets):
        raise BadInput("prompts.file and prompts.sets: give one of them")
    if section.sets and section.count is None:
        raise BadInput("prompts.count is not set: how many prompts to make")


def rows_of(section: Prompts) -> list[dict[str, Any]]:
    """Returns the rows that a section describes.

    Raises:
        BadInput: The file cannot be read, or there are no such prompts.
    """
    if section.file is None:
        return prompt_rows(parts_of(section.sets), section.count or 0, section.seed)
    return read_rows(Path(section.file))[: section.count]
