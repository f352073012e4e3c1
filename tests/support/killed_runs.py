"""Runs a recipe in a process that stops itself at a given point, is killed there, and is followed by the next.

    python -m tests.support.killed_runs RECIPE.toml

A point is a call of a method or function: before or after its n-th time, the process stops (SIGSTOP), so that the
kill (SIGKILL) comes exactly there and not somewhere near. Modules are imported once and each attempt is a fork. Prints
one JSON line for each attempt: the point, how it ended, and the stages that it finished.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import Trainer

from tokenreward.dataset.resume import RunState
from tokenreward_trainer.pipeline import read_recipe, run_recipe
from tokenreward_trainer.pipeline.run import stages_of
from tokenreward_trainer.pipeline.stage_folder import Folder
from tokenreward_trainer.prompts import sets
from tokenreward_trainer.report import page


@dataclass(frozen=True)
class Point:
    """Stop before or after the `times`-th call of `method` while `stage` runs."""

    stage: str
    owner: Any
    method: str
    after: bool = True
    times: int = 1

    def __str__(self) -> str:
        return f"{self.stage}: {'after' if self.after else 'before'} {self.method} {self.times}"


def points(stages: list[str]) -> list[Point]:
    """For each stage: in its middle, at its end before it is recorded, and on the boundary behind it."""
    middle = {
        "prompts": [Point("prompts", sets, "prompt_rows")],
        "report": [Point("report", page, "page_of")],
        "sample": [Point("sample", RunState, "finish", times=2)],
        "rank": [Point("rank", RunState, "finish", times=1)],
        "label": [Point("label", RunState, "finish", times=2)],
    }
    for name in ("baseline", "train"):  # two runs of one trainer: how its checkpoints are written is tried in one
        middle[name] = [Point(name, Trainer, "training_step", times=1)]
    middle["train"] += [
        Point("train", Trainer, "_save_rng_state", after=False),  # in the middle of a checkpoint
        Point("train", Trainer, "_save_checkpoint"),
    ]
    found = []
    for stage in stages:
        found += middle.get(stage, [])
        found += [Point(stage, Folder, "finish", after=False), Point(stage, Folder, "finish")]
    return found


def stop_at(point: Point) -> None:
    """Patches the method in this process."""
    original: Callable[..., Any] = getattr(point.owner, point.method)
    stage_of_now: list[str] = []
    begin = Folder.begin

    def begun(self: Folder) -> None:
        stage_of_now[:] = [self.stage]
        begin(self)

    calls = 0

    def patched(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        mine = stage_of_now == [point.stage]
        calls += mine
        here = mine and calls == point.times
        if here and not point.after:
            os.kill(os.getpid(), signal.SIGSTOP)
        result = original(*arguments, **options)
        if here and point.after:
            os.kill(os.getpid(), signal.SIGSTOP)
        return result

    Folder.begin = begun  # type: ignore[method-assign]
    setattr(point.owner, point.method, patched)


def attempt(recipe: Any, point: Point | None) -> str:
    """`killed` at the point, or `ended`."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            if point is not None:
                stop_at(point)
            run_recipe(recipe, progress=False)
            status = 0
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
    _, status = os.waitpid(child, os.WUNTRACED)
    if os.WIFSTOPPED(status):
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return "killed"
    assert os.WIFEXITED(status), status
    assert os.WEXITSTATUS(status) == 0, "it failed: see above"
    return "ended"


def main() -> None:
    torch.set_num_threads(1)
    recipe = read_recipe(sys.argv[1])
    directory = Path(recipe.run.directory)
    names = [stage.name for stage in stages_of(recipe)]
    for point in [*points(names), None]:
        how = attempt(recipe, point)
        finished = sorted(path.parent.name.partition("-")[0] for path in directory.glob("stages/*/stage.json"))
        print(json.dumps({"point": str(point), "how": how, "finished": finished}), flush=True)


if __name__ == "__main__":
    main()
