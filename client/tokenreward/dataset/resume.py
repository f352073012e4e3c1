"""The state of a labeling run on disk, so that the same command goes on after any interruption.

`OUT.partial/` holds `run.json` (the plan, the run's id and its provenance), one labeled part for each finished chunk,
and beside each part a `.done` file with its counts, which is written last. All of them appear by renaming, so a SIGKILL
leaves whole files or none. The directory is removed once OUT stands.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import uuid
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tokenreward.dataset.atomic import locked, replace
from tokenreward.errors import BadInput, Rejected
from tokenreward.schema import Provenance

#: Digests of the input that the plans of older versions do not have, nor those of some inputs.
_LATER = ("input_items", "input_columns")


@dataclass(frozen=True)
class Done:
    """The counts of one finished chunk.

    Attributes:
        digest: The SHA-256 of its items.
        rows: Its rows.
        responses: Its responses.
        tokens: Their tokens.
        failed: Responses without rewards.
        reasons: How often each error occurred, by message.
    """

    digest: str
    rows: int
    responses: int
    tokens: int
    failed: int
    reasons: dict[str, int] = field(default_factory=dict)


class RunState:
    """The partial directory, locked against a second run. Use it in a `with` statement.

    Attributes:
        directory: Where it is.
        provenance: The provenance of the run's first job, or None before that.
        done: The finished chunks by number.
        run: The run's id, which is the same in every rerun.
    """

    def __init__(self, out: Path, plan: dict[str, Any], suffix: str) -> None:
        """Name the directory. It is opened on entering the `with` statement.

        Args:
            out: Where the finished file will stand.
            plan: What identifies the run. A directory with another plan is an error.
            suffix: The suffix of parts.
        """
        self.directory = out.with_name(out.name + ".partial")
        self._suffix = suffix
        self._plan = plan
        self.provenance: Provenance | None = None
        self.done: dict[int, Done] = {}

    def __enter__(self) -> Self:
        self.directory.mkdir(parents=True, exist_ok=True)
        self._lock = locked(self.directory / "lock")
        try:
            self._open()
        except BaseException:
            self._lock.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self.provenance is None and not self.done and isinstance(error, Rejected | BadInput):
            self.remove()  # the service has taken nothing, so that the corrected command may begin anew
        self._lock.close()

    def part(self, number: int) -> Path:
        """Return where the labeled part of a chunk stands."""
        return self.directory / f"{number:07d}{self._suffix}"

    def key(self, number: int, attempt: int, digest: str, model: str | None) -> str:
        """Return the idempotency key of one chunk's job: the same in every rerun, and another in every other run.

        Args:
            number: The chunk's number.
            attempt: How many jobs of it came to nothing.
            digest: The SHA-256 of its items.
            model: The model that is asked for.
        """
        asked = hashlib.sha256(f"{digest} {model}".encode()).hexdigest()
        return f"label-{self.run}-{number}-{attempt}-{asked[:32]}"

    def learn(self, provenance: Provenance) -> None:
        """Pin the run to the provenance of its first job, or to another one as long as no chunk is finished.

        Raises:
            BadInput: A later job has another provenance.
        """
        if self.provenance is None or (not self.done and self.provenance != provenance):
            self.provenance = provenance
            self._save()
        elif _identity(provenance) != _identity(self.provenance):
            raise BadInput(
                f"this run began as {_identity(self.provenance)}, and now the service is at {_identity(provenance)};"
                f" go on with the former, or remove {self.directory} to start over"
            )

    def finish(self, number: int, done: Done) -> None:
        """Note that the chunk's part has been written. From here on it is never labeled again."""
        with replace(self._done_path(number)) as file:
            file.write(json.dumps(asdict(done)).encode())
        self.done[number] = done

    def totals(self) -> Done:
        """Return the sums over all finished chunks."""
        reasons: Counter[str] = Counter()
        for done in self.done.values():
            reasons.update(done.reasons)
        counts = [(d.rows, d.responses, d.tokens, d.failed) for d in self.done.values()]
        rows, responses, tokens, failed = (sum(column) for column in zip(*counts, strict=True)) if counts else (0,) * 4
        return Done("", rows, responses, tokens, failed, dict(reasons))

    def remove(self) -> None:
        """Remove the directory."""
        shutil.rmtree(self.directory, ignore_errors=True)

    def _open(self) -> None:
        path = self.directory / "run.json"
        if path.exists():
            saved = json.loads(path.read_bytes())
            different = differing(saved["plan"], self._plan)
            begun = saved["provenance"] is not None or any(self.directory.glob("*.done"))
            if different and not begun:
                self._begin()  # nothing was done on that plan
                return
            if different:
                raise BadInput(
                    f"{self.directory} holds the beginning of another run ({', '.join(different)} differ);"
                    " finish that one, or remove the directory to start over"
                )
            self.run: str = saved["run"]
            self.provenance = Provenance.model_validate(saved["provenance"]) if saved["provenance"] else None
        else:
            self._begin()
        for done in self.directory.glob("*.done"):
            self.done[int(done.stem)] = Done(**json.loads(done.read_bytes()))

    def _begin(self) -> None:
        self.run = uuid.uuid4().hex
        self._save()

    def _save(self) -> None:
        provenance = self.provenance.model_dump(mode="json") if self.provenance else None
        with replace(self.directory / "run.json") as file:
            file.write(json.dumps({"run": self.run, "plan": self._plan, "provenance": provenance}, indent=2).encode())

    def _done_path(self, number: int) -> Path:
        return self.directory / f"{number:07d}.done"


def differing(made: Mapping[str, Any], plan: Mapping[str, Any], ignored: Iterable[str] = ()) -> list[str]:
    """Return in what two plans differ: keys, and `input` for each of the input's digests.

    Args:
        made: The plan of what stands there.
        plan: The plan of this call.
        ignored: Keys that do not count.
    """
    unknown = {key for key in _LATER if key not in made or key not in plan}
    # What one of the two does not mention has its default there.
    keys = [key for key in {**made, **plan} if key not in {*unknown, *ignored} and made.get(key) != plan.get(key)]
    # Of other rows, or of other names for the columns, the columns differ anyway.
    said = keys if keys == ["input_columns"] else [key for key in keys if key != "input_columns"]
    return list(dict.fromkeys("input" if key in _LATER else key for key in said))


def _identity(provenance: Provenance) -> str:
    """Return what must not change within a file: everything but the service's version."""
    p = provenance
    return (
        f"{p.fingerprint.model}@{p.fingerprint_digest} {p.template}#{p.template_hash} {p.estimator}#{p.estimator_hash}"
        + (f" {p.pool}" if p.pool else "")
    )
