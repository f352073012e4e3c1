"""Work on the rows of a file that survives being killed: cut into segments, each of which is done once.

`OUT.partial/` holds the plan and one file a finished segment, all by rename; a rerun does the segments that are
missing and makes OUT of all of them. It is the state that `tokenreward label` keeps, with other work in it.
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
    """Of one segment or of a whole file. rows: written.  tally: what else is worth counting, by name."""

    rows: int = 0
    responses: int = 0
    tokens: int = 0
    tally: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """A finished file. meta: of its kind.  already: it stood there before, and nothing was done."""

    path: Path
    counts: Counts
    meta: dict[str, Any]
    already: bool = False


@dataclass(frozen=True)
class Job:
    """What is done to a file.

    kind: the key of its meta.  plan: what identifies it; equal plans give equal files.  size: rows a segment.
    described: more for the meta, once everything is done.  assemble: makes OUT of the segments' files.
    """

    kind: str
    plan: dict[str, Any]
    size: int
    described: Callable[[], dict[str, Any]] = dict
    assemble: Assemble = JsonlSink().assemble


def read_rows(path: Path) -> list[Row]:
    """The rows of a .jsonl, .parquet or .arrow file. Raises BadInput."""
    rows = list(read_labeled(path))
    if not rows:
        raise BadInput(f"{path}: there are no rows")
    return rows


def rows_hash(rows: Sequence[Row]) -> str:
    return digest({"rows": rows})


def finished(out: Path, job: Job) -> Outcome | None:
    """The file that stands at `out`, if it is what this job would make. Raises BadInput if it is not."""
    if not out.exists():
        return None
    meta = read_meta(out)
    if meta is None or job.kind not in meta:
        raise BadInput(f"{out} exists and is not what this command makes; nothing was overwritten")
    made = meta[job.kind]
    different = sorted(key for key in {*made["plan"], *job.plan} if made["plan"].get(key) != job.plan.get(key))
    if different:
        raise BadInput(f"{out} exists and was made otherwise ({', '.join(different)} differ); nothing was overwritten")
    return Outcome(out, Counts(**made["counts"]), made, already=True)


def in_segments(
    out: Path,
    count: int,
    job: Job,
    work: Callable[[range], tuple[Iterable[Row], Counts]],
    shown: Progress,
    responses: int,
) -> Outcome:
    """Does `work` on every segment of `count` rows that a former run has not done, and makes `out` of all.

    work: from the places of a segment's rows to what is written of them.  responses: in all rows, for `shown`.
    """
    if not out.parent.is_dir():
        raise BadInput(f"{out.parent}: no such directory")
    if out.suffix != ".jsonl":
        raise BadInput(f"{out}: the output is .jsonl, not {out.suffix!r}")
    with RunState(out, job.plan, ".jsonl") as state:
        shown.begin(responses, state.totals().responses)
        for number, start in enumerate(range(0, count, job.size)):
            if number in state.done:
                continue
            made, counts = work(range(start, min(start + job.size, count)))
            with replace(state.part(number)) as file:
                file.writelines(map(json_line, made))
            state.finish(number, _done(counts))
            shown.advance(counts.tokens, counts.responses)
        counts = _counts(state.totals())
        content = {"plan": job.plan, "counts": asdict(counts), **job.described()}
        job.assemble([state.part(number) for number in sorted(state.done)], out, {job.kind: content})
        state.remove()
    return Outcome(out, counts, content)


def _done(counts: Counts) -> Done:
    return Done("", counts.rows, counts.responses, counts.tokens, 0, dict(counts.tally))


def _counts(done: Done) -> Counts:
    return Counts(done.rows, done.responses, done.tokens, dict(done.reasons))
