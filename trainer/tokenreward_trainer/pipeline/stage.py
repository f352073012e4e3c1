"""What a stage of the loop is: a name, options, inputs, and a function that leaves files in the stage's folder.

A stage is called with an empty folder or with what a killed run left there, and goes on from that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenreward.dataset import read_meta
from tokenreward.errors import BadInput
from tokenreward_trainer.pipeline.recipe import Recipe
from tokenreward_trainer.resumable.hashes import file_hash


@dataclass(frozen=True)
class StageInput:
    """What a stage is called with.

    Attributes:
        recipe: The whole recipe.
        folder: Where the stage leaves its files.
        inputs: The folders of the stages that it reads, by what it calls them.
        progress: Whether to show progress.
    """

    recipe: Recipe
    folder: Path
    inputs: Mapping[str, Path]
    progress: bool


@dataclass(frozen=True)
class StageOutput:
    """What a stage has left.

    Attributes:
        files: The files that later stages read, relative to the folder.
        summary: What came of it, for people.
    """

    files: list[str]
    summary: str


@dataclass(frozen=True)
class Source:
    """Files of a stage that another one reads.

    Attributes:
        stage: The stage that leaves them.
        files: Their paths in its folder; another content of theirs is another input.
    """

    stage: str
    files: Sequence[str]


@dataclass(frozen=True)
class Stage:
    """One stage of the loop.

    Attributes:
        name: Its name in folders, with the number of its round from the second one on.
        inputs: What it reads, by what it calls it. The input `policy` is a training's model, which stands for the
            recipe's.
        options: Returns all else that its outputs depend on.
        run: Does the work.
        version: Is raised when the code changes the outputs.
    """

    name: str
    inputs: Mapping[str, Source]
    options: Callable[[Recipe], dict[str, Any]]
    run: Callable[[StageInput], StageOutput]
    version: int = 1


def with_meta(out: Path) -> list[str]:
    """Returns the names of a file and of the metadata beside it."""
    assert read_meta(out) is not None
    return [out.name, f"{out.name}.meta.json"]


def option_file_hash(name: str, option: str) -> str:
    """Returns the hash of a file that an option names.

    Raises:
        BadInput: There is no such file.
    """
    if not Path(name).is_file():
        raise BadInput(f"{option}: {name}: no such file")
    return file_hash(Path(name))
