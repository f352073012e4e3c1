"""The answers of every checkpoint, in OUT/answers/NAME.jsonl: sampled once, and read again by every later run."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from tokenreward.checkpoint.hub import find_model
from tokenreward.checkpoint.loading import load_config
from tokenreward.dataset.formats import read_meta
from tokenreward.errors import BadInput
from tokenreward_trainer.doubtful import DoubtfulOption
from tokenreward_trainer.resumable.segments import Row, read_rows
from tokenreward_trainer.sampling.requests import Policy
from tokenreward_trainer.sampling.sample_file import sample_file
from tokenreward_trainer.sampling.settings import Sampling
from tokenreward_trainer.scorers import Group
from tokenreward_trainer.scorers.final_answer import answer_of

#: A name becomes a file's.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")


@dataclass(frozen=True)
class Answer:
    """One answer of a checkpoint.

    Attributes:
        text: Its text.
        token_ids: Its tokens, end-of-turn token included.
        finished: Whether it ended by itself, not by max_tokens.
        begun: What the generation prompt had written of it already, which is not in `text`.
    """

    text: str
    token_ids: tuple[int, ...]
    finished: bool
    begun: str = ""

    @property
    def without_thought(self) -> str:
        """What stands behind its thought; empty if the thought was cut off."""
        return answer_of(self.begun + self.text)

    @property
    def tokens(self) -> int:
        """Its length in tokens, end-of-turn token included."""
        return len(self.token_ids)


@dataclass(frozen=True)
class Answers:
    """Everything that one checkpoint said.

    Attributes:
        name: The checkpoint's name.
        path: The file with its answers.
        rows: The prompts' own columns.
        given: For each row, its answers.
        sampling: What the file says of how it was made.
    """

    name: str
    path: Path
    rows: Sequence[Row]
    given: Sequence[Sequence[Answer]]
    sampling: Mapping[str, Any]

    def groups(self) -> list[Group]:
        """Returns the answers as scorers take them."""
        return [
            Group(
                prompt=row["prompt"],
                responses=[answer.begun + answer.text for answer in answers],
                token_ids=[answer.token_ids for answer in answers],
                row={name: value for name, value in row.items() if name != "prompt"},
                where=f"{self.path}, row {number}",
            )
            for number, (row, answers) in enumerate(zip(self.rows, self.given, strict=True))
        ]


def answers_of(
    prompts: Path, models: Mapping[str, str], out: Path, settings: Sampling, progress: bool | None = False
) -> list[Answers]:
    """Samples the answers that are missing in `out`/answers; a file that was made just so is used as it is.

    Every model and prompt is checked before anything is sampled.

    Args:
        prompts: The file of prompts.
        models: Model directories by the checkpoints' names.
        out: The evaluation's directory.
        settings: How checkpoints answer.
        progress: True always shows it, False never, None only in a terminal.

    Raises:
        BadInput: A checkpoint or a prompt cannot be used.
    """
    check_names(models)
    rows = read_rows(prompts)
    for name, model in models.items():
        Policy.load(model).requests(rows, settings, str(prompts))
        _check_precision(name, model, settings)
    folder = out / "answers"
    folder.mkdir(parents=True, exist_ok=True)
    return [
        _answers(prompts, name, model, folder / f"{name}.jsonl", settings, progress) for name, model in models.items()
    ]


def check_names(models: Mapping[str, str]) -> None:
    """Checks the checkpoints' names.

    Raises:
        BadInput: There are too few, or a name makes no file or the same file as another.
    """
    if len(models) < 2:
        raise BadInput("a comparison needs two checkpoints or more, as in --models start=DIRECTORY dpo=DIRECTORY")
    folded: dict[str, str] = {}
    for name in models:
        if _NAME.fullmatch(name) is None:
            raise BadInput(
                f"the name {name!r}: letters, digits and . _ + - only, because its answers' file is called so"
            )
        if (other := folded.setdefault(name.lower(), name)) != name:
            raise BadInput(f"the names {other!r} and {name!r} are the same file on some systems: rename one")


def _check_precision(name: str, model: str, settings: Sampling) -> None:
    """Warns where rounding to fewer bits may take away most of a short training."""
    if load_config(find_model(model, weights=False)).dtype == torch.float32 and settings.dtype != "float32":
        warnings.warn(
            f"{name} has float32 weights and answers in {settings.dtype}, which may round away most of a short "
            "training: --dtype float32 compares what was trained",
            DoubtfulOption,
            stacklevel=2,
        )


def identical(answers: Sequence[Answers]) -> list[list[str]]:
    """Returns names whose checkpoints have the same content: a comparison of them can only find nothing."""
    same: dict[str, list[str]] = {}
    for one in answers:
        same.setdefault(one.sampling["plan"]["model"], []).append(one.name)
    return [names for names in same.values() if len(names) > 1]


def _answers(prompts: Path, name: str, model: str, path: Path, settings: Sampling, progress: bool | None) -> Answers:
    sample_file(prompts, path, model, settings, progress)
    rows, given = [], []
    for row in read_rows(path):
        responses = row.pop("responses")
        rows.append(row)
        given.append([Answer(r["text"], tuple(r["token_ids"]), r["finished"], r.get("begun", "")) for r in responses])
    return Answers(name, path, rows, given, (read_meta(path) or {})["sampling"])
