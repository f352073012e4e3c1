"""Goes through a recipe's stages: what is finished is left alone, everything else is done or gone on with.

RUN/stages/NAME-HASH/   a stage's files, and `stage.json` once it is finished
RUN/run.json            which folders the last run used, what came of them, what it did itself
RUN/report.html         the last report
"""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tokenreward.dataset.atomic import locked, replace
from tokenreward.errors import BadInput
from tokenreward_trainer.pipeline.policy import with_policy
from tokenreward_trainer.pipeline.recipe import Recipe
from tokenreward_trainer.pipeline.stage import Stage, StageInput
from tokenreward_trainer.pipeline.stage_folder import Folder, Record
from tokenreward_trainer.pipeline.stage_list import stages_of


@dataclass(frozen=True)
class Passed:
    """A stage that the run has passed.

    Attributes:
        folder: Where its files are.
        record: What is known of it.
        done: Whether this run did it; else a former one had finished it.
    """

    folder: Path
    record: Record
    done: bool


def run_recipe(recipe: Recipe, *, progress: bool = True) -> Path:
    """Runs the stages of a recipe that have not been run.

    Args:
        recipe: The recipe.
        progress: Whether to say what is being done.

    Returns:
        The report's path.

    Raises:
        TokenRewardError: A stage cannot do its work; what is finished stays.
    """
    directory = Path(recipe.run.directory)
    directory.mkdir(parents=True, exist_ok=True)
    lock = locked(directory / "lock")
    try:
        passed: dict[str, Passed] = {}
        stages = stages_of(recipe)
        options = [stage.options(recipe) for stage in stages]  # All of them first: what is wrong is found at once.
        for number, stage in enumerate(stages, 1):
            _say(f"[{number}/{len(stages)}] {stage.name}", progress)
            passed[stage.name] = found = _pass(stage, options[number - 1], recipe, directory, passed, progress)
            how = f"in {found.record.seconds:.0f} s" if found.done else "unchanged"
            _say(f"[{number}/{len(stages)}] {stage.name}: {found.record.summary} ({how})", progress)
        return _leave(directory, passed)
    finally:
        lock.close()


def _pass(
    stage: Stage, options: dict[str, Any], recipe: Recipe, directory: Path, passed: dict[str, Passed], progress: bool
) -> Passed:
    inputs = {name: passed[source.stage].record.digest_of(source.files) for name, source in stage.inputs.items()}
    folder = Folder.of(directory, stage.name, stage.version, options, inputs)
    if (record := folder.finished()) is not None:
        return Passed(folder.path, record, done=False)
    folder.begin()
    started = time.monotonic()
    folders = {name: passed[source.stage].folder for name, source in stage.inputs.items()}
    own = with_policy(recipe, folders["policy"]) if "policy" in folders else recipe
    given = StageInput(own, folder.path, folders, progress)
    left = stage.run(given)
    missing = [name for name in left.files if not (folder.path / name).is_file()]
    if missing:
        raise BadInput(f"the stage {stage.name} left no {missing[0]} in {folder.path}")
    return Passed(folder.path, folder.finish(left.files, time.monotonic() - started, left.summary), done=True)


def _leave(directory: Path, passed: dict[str, Passed]) -> Path:
    report = directory / "report.html"
    with replace(report) as file, (passed["report"].folder / "report.html").open("rb") as made:
        shutil.copyfileobj(made, file)
    content: list[dict[str, Any]] = [
        {"folder": str(found.folder.relative_to(directory)), "done": found.done, **asdict(found.record)}
        for found in passed.values()
    ]
    with replace(directory / "run.json") as file:
        file.write(json.dumps({"stages": content}, indent=1, ensure_ascii=False).encode())
    return report


def _say(line: str, progress: bool) -> None:
    if progress:
        print(line, flush=True)
