"""Scores for answers, by any scorer of `tokenreward rank`, kept in OUT/scores/ so that they are computed once."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tokenreward.dataset.progress import progress_for
from tokenreward.errors import BadInput
from tokenreward_trainer.evaluation.answers import Answers
from tokenreward_trainer.resumable.hashes import digest
from tokenreward_trainer.resumable.segments import Counts, FileTask, Row, finished, in_segments, read_rows, rows_hash
from tokenreward_trainer.scorers import Group, Scorer, identity_of, scorer_of

#: Prompts that are scored, and written, together.
_SEGMENT = 32
#: Scorers that read a column of the prompt and cost nothing: whether it is there is seen before anything is sampled.
_BY_COLUMN = ("verify", "final_number", "constraints")

Scores = list[list[float | None]]


def check_prompts(prompts: Path, scorer: str) -> dict[str, Any]:
    """Checks that a scorer can score the prompts, as far as that costs nothing.

    Args:
        prompts: The file of prompts.
        scorer: The scorer's specification.

    Returns:
        The scorer's identity.

    Raises:
        BadInput: There is no such scorer, or it cannot score a prompt.
    """
    identity = identity_of(scorer)
    if identity["scorer"] in _BY_COLUMN:
        reader = scorer_of(scorer)
        for number, row in enumerate(read_rows(prompts)):
            where = f"{prompts}, row {number}"
            try:
                reader.score([Group(row.get("prompt", ""), ["0"], [[0]], row, where)])
            except BadInput as error:
                raise BadInput(f"{error}" if where in str(error) else f"{where}: {error}") from None
    return identity


def scores_of(answers: Sequence[Answers], out: Path, scorer: str, progress: bool | None = False) -> dict[str, Scores]:
    """Scores the answers that have no score yet.

    Args:
        answers: The answers of each checkpoint.
        out: The evaluation's directory.
        scorer: The scorer's specification.
        progress: True always shows it, False never, None only in a terminal.

    Returns:
        By checkpoint and row, one score an answer; None is an answer that the scorer cannot score.

    Raises:
        BadInput: The scorer refuses, or gives a score that is not finite.
    """
    made = _LateScorer(scorer)
    folder = out / "scores"
    folder.mkdir(parents=True, exist_ok=True)
    return {one.name: _scores(one, folder, identity_of(scorer), made, progress) for one in answers}


class _LateScorer:
    """The scorer, loaded when a score is missing: a reward model takes a while."""

    def __init__(self, specification: str) -> None:
        self._specification = specification
        self._scorer: Scorer | None = None

    def score(self, groups: Sequence[Group]) -> Scores:
        self._scorer = self._scorer or scorer_of(self._specification)
        return self._scorer.score(groups)


def _scores(one: Answers, folder: Path, identity: dict[str, Any], scorer: _LateScorer, progress: bool | None) -> Scores:
    groups = one.groups()
    given = [group.responses for group in groups]
    plan = {"rows": rows_hash(one.rows), "answers": digest({"answers": given}), "scorer": identity}
    # Another scorer, or other answers, have another file: nothing is in the way of anything.
    path = folder / f"{one.name}-{digest(plan)[:12]}.jsonl"
    task = FileTask("scores", plan, _SEGMENT)
    if finished(path, task) is None:
        with progress_for(progress, "scoring", "scored") as shown:
            in_segments(path, len(groups), task, _worker(scorer, groups), shown, sum(map(len, given)))
    return [row["scores"] for row in read_rows(path)]


def _worker(scorer: _LateScorer, groups: Sequence[Group]) -> Callable[[range], tuple[list[Row], Counts]]:
    def work(places: range) -> tuple[list[Row], Counts]:
        asked = groups[places.start : places.stop]
        rows: list[Row] = []
        for group, scores in zip(asked, scorer.score(asked), strict=True):
            if any(score is not None and not math.isfinite(score) for score in scores):
                raise BadInput(f"{group.where}: the scorer gave {scores}; a score is a finite number or None")
            rows.append({"id": group.row.get("id"), "scores": scores})
        tokens = sum(len(ids) for group in asked for ids in group.token_ids)
        return rows, Counts(len(rows), sum(len(row["scores"]) for row in rows), tokens)

    return work
