"""Work on the rows of a file that survives being killed: cut into segments, each of which is done once.

`OUT.partial/` holds the plan and one file a finished segment, all by rename. A rerun does the segments that are
missing and makes OUT of all of them. It keeps the same state as `tokenreward label`, with other work in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tokenreward.dataset.atomic import replace
from tokenreward.dataset.formats import read_labeled, read_meta
from tokenreward.dataset.jsonl import JsonlSink, json_line
from tokenreward.dataset.progress import Progress
from tokenreward.dataset.resume import Done, RunState
from tokenreward.errors import BadInput
from tokenreward.schema import digest

Row = dict[str, Any]
Assemble = Callable[[Sequence[Path], Path, dict[str, Any]], None]


@dataclass(frozen=True)
class Counts:
    """What was done to one segment or to a whole file.

    Attributes:
        rows: Rows written.
        responses: Responses in them.
        tokens: Tokens of those.
        tally: What else is worth counting, by name.
    """

    rows: int = 0
    responses: int = 0
    tokens: int = 0
    tally: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """A finished file.

    Attributes:
        path: The file.
        counts: What is in it.
        meta: What the file says of its kind.
        already: Whether it stood there before, and nothing was done.
    """

    path: Path
    counts: Counts
    meta: dict[str, Any]
    already: bool = False


@dataclass(frozen=True)
class FileTask:
    """What is done to a file.

    Attributes:
        kind: The key of its metadata.
        plan: What identifies it; equal plans give equal files.
        size: Rows a segment.
        described: Returns more for the metadata, once everything is done.
        assemble: Makes OUT of the segments' files.
    """

    kind: str
    plan: dict[str, Any]
    size: int
    described: Callable[[], dict[str, Any]] = dict
    assemble: Assemble = JsonlSink().assemble


def read_rows(path: Path) -> list[Row]:
    """Reads the rows of a .jsonl, .parquet or .arrow file.

    Raises:
        BadInput: The file cannot be read, or has no rows.
    """
    rows = list(read_labeled(path))
    if not rows:
        raise BadInput(f"{path}: there are no rows")
    return rows


def rows_hash(rows: Sequence[Row]) -> str:
    """Hashes rows by their content."""
    return digest({"rows": rows})


def finished(out: Path, task: FileTask) -> Outcome | None:
    """Looks for the file that a task makes.

    Args:
        out: Where it would stand.
        task: The task.

    Returns:
        The file; None if there is none.

    Raises:
        BadInput: Another file stands there.
    """
    if not out.exists():
        return None
    meta = read_meta(out)
    if meta is None or task.kind not in meta:
        raise BadInput(f"{out} exists and is not what this command makes; nothing was overwritten")
    made = meta[task.kind]
    different = sorted(key for key in {*made["plan"], *task.plan} if made["plan"].get(key) != task.plan.get(key))
    if different:
        raise BadInput(f"{out} exists and was made otherwise ({', '.join(different)} differ); nothing was overwritten")
    return Outcome(out, Counts(**made["counts"]), made, already=True)


def in_segments(
    out: Path,
    count: int,
    task: FileTask,
    work: Callable[[range], tuple[Iterable[Row], Counts]],
    shown: Progress,
    responses: int,
) -> Outcome:
    """Does the work on every segment that a former run has not done, and makes a file of all of them.

    Args:
        out: The file to make, .jsonl.
        count: The number of rows.
        task: What is done.
        work: Takes the places of a segment's rows and returns what is written of them.
        shown: Shows progress.
        responses: The responses in all rows, for `shown`.

    Raises:
        BadInput: The output cannot be written there.
    """
    if not out.parent.is_dir():
        raise BadInput(f"{out.parent}: no such directory")
    if out.suffix != ".jsonl":
        raise BadInput(f"{out}: the output is .jsonl, not {out.suffix!r}")
    with RunState(out, task.plan, ".jsonl") as state:
        shown.begin(responses, state.totals().responses)
        for number, start in enumerate(range(0, count, task.size)):
            if number in state.done:
                continue
            made, counts = work(range(start, min(start + task.size, count)))
            with replace(state.part(number)) as file:
                file.writelines(map(json_line, made))
            state.finish(number, _done(counts))
            shown.advance(counts.tokens, counts.responses)
        counts = _counts(state.totals())
        content = {"plan": task.plan, "counts": asdict(counts), **task.described()}
        task.assemble([state.part(number) for number in sorted(state.done)], out, {task.kind: content})
        state.remove()
    return Outcome(out, counts, content)


def _done(counts: Counts) -> Done:
    return Done("", counts.rows, counts.responses, counts.tokens, 0, dict(counts.tally))


def _counts(done: Done) -> Counts:
    return Counts(done.rows, done.responses, done.tokens, dict(done.reasons))
