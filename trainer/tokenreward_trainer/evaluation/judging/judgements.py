"""Every pair of answers before the judge, in both orders; OUT/judgements.jsonl keeps what it said.

A judge likes what it reads first, or last: only both orders together say what it likes better. A line is written
as soon as its reply is there; a rerun asks for what is missing, and once more where the reply was no verdict.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenreward.dataset.progress import progress_for
from tokenreward.errors import BadInput
from tokenreward_trainer.evaluation.judging.judge import Judge, Judging, Verdict
from tokenreward_trainer.resumable.hashes import digest
from tokenreward_trainer.scorers.http_post import Waiting, start_of


@dataclass(frozen=True)
class AnswerPair:
    """One checkpoint's answer against the baseline's.

    Attributes:
        name: The checkpoint's name.
        prompt: The prompt as text.
        answer: The checkpoint's answer.
        baseline: The baseline's answer.
    """

    name: str
    prompt: str
    answer: str
    baseline: str


@dataclass(frozen=True)
class Judgement:
    """Preferences for the checkpoint's answer, in [0, 1]; None where there is no usable verdict.

    Attributes:
        first: When it was shown first.
        second: When it was shown second.
        identical: Whether the answers are the same text, a tie that the judge was not asked about.
    """

    first: float | None
    second: float | None
    identical: bool = False

    @property
    def preference(self) -> float | None:
        """The mean of both orders; None if one of them is missing, because half of a pair is biased."""
        return None if self.first is None or self.second is None else (self.first + self.second) / 2


def judge_pairs(
    pairs: Sequence[AnswerPair],
    settings: Judging,
    path: Path,
    progress: bool | None = False,
    waiting: Waiting | None = None,
) -> list[Judgement]:
    """Judges every pair of answers in both orders.

    Args:
        pairs: The pairs of answers.
        settings: How the judge is asked.
        path: The file in which verdicts are kept.
        progress: True always shows it, False never, None only in a terminal.
        waiting: How long to wait for the judge; None is the defaults.

    Returns:
        One judgement a pair.

    Raises:
        BadInput: The judge refuses, or not one verdict can be used.
        ConnectionFailed: It gives no answer in time.
    """
    kept = _read(path)
    orders = [
        (_Question(settings, pair, swapped=False), _Question(settings, pair, swapped=True))
        if pair.answer != pair.baseline
        else None
        for pair in pairs
    ]
    questions = {question.key: question for both in orders if both is not None for question in both}
    missing = [question for key, question in questions.items() if kept.get(key) is None]
    if missing:
        with progress_for(progress, "judging", "judged") as shown, path.open("ab") as file:
            shown.begin(len(questions), len(questions) - len(missing))
            for question, verdict in _asked(missing, Judge(settings, waiting), settings.parallel):
                kept[question.key] = verdict.preference
                file.write(question.line(verdict))
                file.flush()
                shown.advance(verdict.tokens)
    if questions and all(kept[key] is None for key in questions):
        raise BadInput(
            f"none of {len(questions)} replies of {settings.model} is a verdict; {path} has them: {_sample(path)}"
        )
    return [
        Judgement(0.5, 0.5, identical=True)
        if both is None
        else Judgement(kept[both[0].key], _turned(kept[both[1].key]))
        for both in orders
    ]


class _Question:
    """One order of a pair. swapped: the baseline's answer is shown first."""

    def __init__(self, settings: Judging, pair: AnswerPair, *, swapped: bool) -> None:
        self._pair, self._swapped = pair, swapped
        self._shown = (pair.baseline, pair.answer) if swapped else (pair.answer, pair.baseline)
        self.key = digest({"judge": settings.identity, "prompt": pair.prompt, "shown": self._shown})

    def ask(self, judge: Judge) -> Verdict:
        return judge.compare(self._pair.prompt, *self._shown)

    def line(self, verdict: Verdict) -> bytes:
        row = {"key": self.key, "pair": self._pair.name, "swapped": self._swapped}
        row |= {"first_preferred": verdict.preference, "reply": verdict.reply}
        return json.dumps(row, ensure_ascii=True).encode() + b"\n"


def _asked(questions: Sequence[_Question], judge: Judge, parallel: int) -> Iterator[tuple[_Question, Verdict]]:
    """Verdicts as they come. Before an error is raised, those under way come in: they are paid for."""
    stopped = threading.Event()

    def ask(question: _Question) -> Verdict | None:
        return None if stopped.is_set() else question.ask(judge)

    errors = []
    with ThreadPoolExecutor(parallel) as pool:
        try:
            asked = {pool.submit(ask, question): question for question in questions}
            for future in as_completed(asked):
                if (error := future.exception()) is not None:
                    errors.append(error)
                    stopped.set()
                elif (verdict := future.result()) is not None:
                    yield asked[future], verdict
        finally:
            stopped.set()
    if errors:
        raise errors[0]


def _turned(preference: float | None) -> float | None:
    return None if preference is None else 1 - preference


def _read(path: Path) -> dict[str, float | None]:
    """key -> preference for the answer shown first. A line that a kill cut off is taken away."""
    if not path.exists():
        return {}
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if len(whole) < len(content):
        with path.open("r+b") as file:
            file.truncate(len(whole))
    try:
        rows: list[dict[str, Any]] = [json.loads(line) for line in whole.splitlines()]
        return {row["key"]: row["first_preferred"] for row in rows}
    except (ValueError, KeyError, TypeError):
        raise BadInput(f"{path}: not the judgements that this command writes; move it away") from None


def _sample(path: Path) -> str:
    return repr(start_of(json.loads(path.read_bytes().splitlines()[-1])["reply"]))
