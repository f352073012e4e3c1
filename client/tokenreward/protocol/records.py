"""The records that cross Redis: members of a shard, claims, workers, models. Frozen, parsed strictly.

What comes out of Redis is data from a stranger: anything that does not parse is a `Corrupt` error, which
callers log and step over.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tokenreward.errors import TokenRewardError
from tokenreward.schema import Include, Provenance, Template

R = TypeVar("R", bound=BaseModel)


class Corrupt(TokenRewardError):
    """Something read from Redis is not what this version writes there."""


class Record(BaseModel):
    # Unknown fields are those of a newer version: during a rolling upgrade two versions meet in Redis.
    model_config = ConfigDict(frozen=True, extra="ignore")


class JobSlice(Record):
    """A run of one job's items inside a shard: `count` items from `slice + offset` on, input order.

    slice: index of the first item of the blob that holds them.  offset: of the first one within that blob.
    """

    job: str
    slice: int = Field(ge=0)
    offset: int = Field(ge=0)
    count: int = Field(gt=0)

    @property
    def start(self) -> int:
        return self.slice + self.offset

    def halves(self) -> tuple[JobSlice, JobSlice]:
        first = self.count // 2
        return (
            self.model_copy(update={"count": first}),
            self.model_copy(update={"offset": self.offset + first, "count": self.count - first}),
        )


class Shard(Record):
    """One unit of scoring work, about to be queued. front: it overtakes what waits (interactive work)."""

    id: str = Field(default_factory=lambda: uuid4().hex)
    fp: str
    members: list[JobSlice]
    attempts: int = 0
    estimated: int = 0
    front: bool = False

    @property
    def items(self) -> int:
        return sum(member.count for member in self.members)


class ScoringOptions(Record):
    """What a worker must know of a job. Stored once with the job."""

    template: Template
    estimator: str
    include: list[Include] = []
    provenance: Provenance


class Claim(Record):
    """What a worker got for answering a doorbell."""

    shard: str
    members: list[JobSlice]
    jobs: dict[str, ScoringOptions]
    front: bool = False
    attempts: int = 0

    @classmethod
    def parse(cls, shard: str, text: bytes | str) -> Claim:
        try:
            raw = json.loads(text)
            jobs = {job: ScoringOptions.model_validate_json(options) for job, options in raw["jobs"].items()}
            return cls(shard=shard, members=raw["members"], jobs=jobs, front=raw["front"], attempts=raw["attempts"])
        except (ValueError, KeyError, TypeError, AttributeError, ValidationError) as error:
            raise Corrupt(f"shard {shard}: its record cannot be read") from error


class Requeued(Record):
    attempts: int
    fp: str
    members: list[JobSlice]


def parse_record(kind: type[R], text: bytes | str) -> R:
    """One record from JSON. Raises Corrupt."""
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        raise Corrupt(f"a {kind.__name__} in Redis cannot be read") from error


def dump_shards(shards: Iterable[Shard]) -> str:
    return json.dumps([shard.model_dump() for shard in shards])


def commit_args(shard: str, outcomes: Sequence[tuple[JobSlice, int, int, bytes]]) -> list[Any]:
    """Arguments of the commit script from (member, failed items, tokens, results blob) each."""
    args: list[Any] = [shard]
    for member, failed, tokens, blob in outcomes:
        args += [member.job, member.start, member.count, failed, tokens, blob]
    return args
