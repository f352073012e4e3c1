"""What each stage of the loop does: its options, its inputs, its files.

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
    """What a stage is called with. inputs: the folders of the stages before it, by name."""

    recipe: Recipe
    folder: Path
    inputs: Mapping[str, Path]
    progress: bool


@dataclass(frozen=True)
class StageOutput:
    """outputs: the files, relative to the folder, that later stages read.  summary: for people."""

    outputs: list[str]
    summary: str


@dataclass(frozen=True)
class Stage:
    """inputs: stage -> the files of it that are read.  options: all else that the outputs depend on.

    version: bumped when the code changes them.
    """

    name: str
    inputs: Mapping[str, Sequence[str]]
    options: Callable[[Recipe], dict[str, Any]]
    run: Callable[[StageInput], StageOutput]
    version: int = 1


def _with_meta(out: Path) -> list[str]:
    assert read_meta(out) is not None
    return [out.name, f"{out.name}.meta.json"]


def _file(name: str, option: str) -> str:
    if not Path(name).is_file():
        raise BadInput(f"{option}: {name}: no such file")
    return file_hash(Path(name))
