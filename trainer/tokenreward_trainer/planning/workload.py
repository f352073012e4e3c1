"""How much a run reads: its pairs, its steps and its tokens, from its files where they are there."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenreward.dataset.formats import read_labeled
from tokenreward_trainer.training.config import PreferenceConfig
from tokenreward_trainer.training.settings import Part, Run

#: Rows whose length stands for that of all.
_SAMPLE = 200
#: Characters of a token, where a row has no ids.
_CHARACTERS = 4.0
#: Files whose lines are rows.
_LINES = {".jsonl", ".ndjson"}
#: The columns that a row with one response may have it in; `messages` have the prompt, too.
_ALONE = ("token_ids", "response", "completion", "messages")


@dataclass(frozen=True, slots=True)
class Workload:
    """What a run reads.

    Attributes:
        pairs: Pairs to train on.
        counted: Whether they were counted, and not only expected.
        batch: Pairs of a step.
        steps: Steps of the optimizer.
        tokens: Tokens of all forward passes of training.
        at_most: Whether that is the most that the limits allow, because no row is there to measure.
    """

    pairs: int
    counted: bool
    batch: int
    steps: int
    tokens: int
    at_most: bool


def workload_of(run: Run, arguments: PreferenceConfig, cards: int) -> Workload | None:
    """Counts what a run reads.

    Args:
        run: The run's settings.
        arguments: Its [train] section.
        cards: The number of processes.

    Returns:
        The workload; None where the file is not there and nobody says how many pairs it will have.
    """
    there = all(part.hub is None and Path(part.file).exists() for part in run.data.parts)
    if not there and run.data.expected_pairs is None:
        return None
    kept = 1 - (0 if run.data.eval else run.data.eval_share)
    rows = (
        [_rows(Path(part.file)) * part.weight for part in run.data.parts] if there else [run.data.expected_pairs or 0]
    )
    pairs = sum(round(count * kept) for count in rows)
    pairs = min(pairs, run.data.limit or pairs)
    batch = arguments.per_device_train_batch_size * arguments.gradient_accumulation_steps * cards
    whole = math.ceil(pairs / (arguments.per_device_train_batch_size * cards))
    each = max(1, math.ceil(whole / arguments.gradient_accumulation_steps))
    steps = arguments.max_steps if arguments.max_steps > 0 else math.ceil(arguments.num_train_epochs * each)
    epochs = steps / each if arguments.max_steps > 0 else arguments.num_train_epochs
    a_pair = _mean_tokens(run.data.parts[0], run.data.max_length) if there else 2.0 * run.data.max_length
    trainings = 2 if run.report.baseline else 1
    return Workload(pairs, there, batch, steps, round(trainings * epochs * pairs * a_pair), not there)


def _rows(path: Path) -> int:
    """The rows of a file, without reading them where its format says how many there are."""
    if path.suffix == ".parquet":
        from pyarrow import parquet

        return int(parquet.read_metadata(path).num_rows)
    if path.suffix not in _LINES or path.is_dir():
        return sum(1 for _ in read_labeled(path))
    with path.open("rb") as file:
        return sum(1 for line in file if line.strip())


def _mean_tokens(part: Part, longest: int) -> float:
    """Tokens that a packed pass reads of a pair, by the first rows."""
    rows = itertools.islice(read_labeled(Path(part.file)), _SAMPLE)
    renamed = (row | {ours: row.get(theirs) for ours, theirs in part.columns.items()} for row in rows)
    found = [_tokens(row, longest) for row in renamed]
    return sum(found) / len(found) if found else 0.0


def _tokens(row: Mapping[str, Any], longest: int) -> float:
    sides = [row.get(f"{side}_token_ids") or row.get(side) for side in ("chosen", "rejected")]
    if not any(sides):
        sides = [next((row[name] for name in _ALONE if row.get(name)), None)]
    return min(_length(row.get("prompt")) + sum(map(_length, sides)), 2.0 * longest)


def _length(value: Any) -> float:
    if isinstance(value, str):
        return len(value) / _CHARACTERS
    if isinstance(value, Sequence) and value and isinstance(value[0], Mapping):
        return sum(len(str(message.get("content", ""))) for message in value) / _CHARACTERS
    return float(len(value)) if isinstance(value, Sequence) else 0.0
