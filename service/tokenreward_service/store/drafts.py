"""TODO: what this module owns."""

from __future__ import annotations

from dataclasses import dataclass, field

from tokenreward import estimators
from tokenreward.protocol.arrow_blobs import (
    Entry,
)
from tokenreward.protocol.records import ScoringOptions
from tokenreward.schema import JobOptions


@dataclass(slots=True)
class Draft:
    """A job that is being taken in: its entries are staged, nobody can see it yet."""

    id: str
    plan: Plan
    owner: str
    ttl: int
    total: int = 0
    invalid: int = 0
    estimated: int = 0
    #: (start, count, estimated tokens) of every slice with work in it
    slices: list[tuple[int, int, int]] = field(default_factory=list)
    #: (key, value) that makes a repetition of the request find this job
    idempotency: tuple[str, bytes] | None = None
    #: blobs of slices that are not written yet, by first index
    held: dict[int, bytes] = field(default_factory=dict)
    #: slices that are written
    staged: int = 0
    #: slices of nothing but wrong items: their outcomes are published with the job
    hopeless: list[Slice] = field(default_factory=list)

    def count(self, piece: Slice) -> None:
        self.total += len(piece.entries)
        self.invalid += sum(entry.item is None for entry in piece.entries)
        self.estimated += piece.estimated

    @property
    def record(self) -> dict[str, str | int]:
        """The job's fields, as publish.lua stores them."""
        record: dict[str, str | int] = {
            "owner": self.owner,
            "fp": self.plan.fingerprint,
            "model": self.plan.scoring.provenance.fingerprint.model,
            "total": self.total,
            "invalid": self.invalid,
            "estimated": self.estimated,
            "options": self.plan.scoring.model_dump_json(),
            "ttl": self.ttl,
        }
        if self.idempotency:
            record["idempotency"] = self.idempotency[0]
        return record


@dataclass(slots=True)
class Slice:
    """A contiguous run of a job's entries. start: index of the first one.  estimated: tokens, all branches."""

    start: int
    entries: list[Entry] = field(default_factory=list)
    estimated: int = 0

    @property
    def scorable(self) -> bool:
        """Whether there is anything for a worker in it."""
        return any(entry.item is not None for entry in self.entries)


@dataclass(frozen=True, slots=True)
class Plan:
    """A request's options, resolved: names are known, the branches exist, a fingerprint is chosen.

    live: whether a worker with that fingerprint is alive.  speed: its tokens per second, if measured.
    """

    options: JobOptions
    scoring: ScoringOptions
    live: bool
    speed: float | None

    @property
    def fingerprint(self) -> str:
        return self.scoring.provenance.fingerprint_digest

    @property
    def branches(self) -> int:
        return len(estimators.resolve(self.scoring.estimator).branches)
