"""The records that cross Redis: slices of jobs, shards, options and claims. All are frozen.

Redis' content is untrusted. A record that does not parse is a `Corrupt` error, which callers log and skip.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from tokenreward.errors import TokenRewardError
from tokenreward.schema import TOP_K, Include, Pool, PoolBy, Provenance, Template
from tokenreward.schema.templates import STORED

R = TypeVar("R", bound=BaseModel)


class Corrupt(TokenRewardError):
    """Something read from Redis is not what this version writes there."""


class Record(BaseModel):
    """The base of all records. Unknown fields are ignored: two versions meet in Redis during a rolling upgrade."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class JobSlice(Record):
    """A run of one job's items inside a shard, in input order.

    Attributes:
        job: The job's id.
        slice: The index of the first item of the blob that holds them.
        offset: The place of the first one within that blob.
        count: How many items.
    """

    job: str
    slice: int = Field(ge=0)
    offset: int = Field(ge=0)
    count: int = Field(gt=0)

    @property
    def start(self) -> int:
        """The index of the first item in the job."""
        return self.slice + self.offset

    def halves(self) -> tuple[JobSlice, JobSlice]:
        """Return the two halves, for a shard that is split."""
        first = self.count // 2
        return (
            self.model_copy(update={"count": first}),
            self.model_copy(update={"offset": self.offset + first, "count": self.count - first}),
        )


class Shard(Record):
    """One unit of scoring work, about to be queued.

    Attributes:
        id: 32 hex digits.
        fp: The digest of the fingerprint it is for.
        members: The items, in slices.
        attempts: How often it has been tried.
        estimated: Its tokens, estimated.
        front: Whether it overtakes those that wait, as interactive work does.
    """

    id: str = Field(default_factory=lambda: uuid4().hex)
    fp: str
    members: list[JobSlice]
    attempts: int = 0
    estimated: int = 0
    front: bool = False

    @property
    def items(self) -> int:
        """How many items it has."""
        return sum(member.count for member in self.members)


class AdapterRef(Record):
    """The version of an adapter that a job is pinned to, with all that a worker needs to load it.

    Attributes:
        name: What it is called.
        version: The hash of its content.
        source: Where it was read.
    """

    name: str
    version: str = Field(pattern=r"^[0-9a-f]{16}$")  # it names a folder
    source: str


class ScoringOptions(Record):
    """The part of a job that a worker must know. It is stored once with the job.

    Attributes:
        template: The template itself. Its branches name the models that they were resolved to, so that a worker of a
            version that knows of none refuses them.
        estimator: The estimator's name.
        parameters: Every parameter of the estimator.
        pool: What rewards are pooled over, if anything.
        pool_by: How they are pooled.
        include: What the results hold beside token ids and rewards.
        top_k: How many of the most likely ids they hold at each token, if any.
        adapters: The adapter that scores a branch, by the branch's name.
        elsewhere: The digest of the model that scores a branch where it is not the job's own.
        provenance: Where the rewards come from.
    """

    template: Template
    estimator: str
    parameters: dict[str, float] = {}
    pool: Pool | None = None
    pool_by: PoolBy = "mean"
    include: list[Include] = []
    top_k: int = TOP_K
    adapters: dict[str, AdapterRef] = {}
    elsewhere: dict[str, str] = {}
    provenance: Provenance

    @property
    def stages(self) -> list[str]:
        """The digests of the models that score the job's items, in the order in which a shard visits them.

        The job's own model is the last one; it turns the log-probs of all into rewards.
        """
        own = self.provenance.fingerprint_digest
        return [*dict.fromkeys(digest for digest in self.elsewhere.values() if digest != own), own]

    def next_stage(self, digest: str) -> str | None:
        """Return the digest of the model after this one; None after the last."""
        if not self.elsewhere:
            return None
        later = self.stages[self.stages.index(digest) + 1 :]
        return later[0] if later else None

    def branches_of(self, digest: str, branches: Iterable[str]) -> list[str]:
        """Return those of the template's branches that this model scores."""
        if not self.elsewhere:
            return list(branches)
        own = self.provenance.fingerprint_digest
        return [branch for branch in branches if self.elsewhere.get(branch, own) == digest]


class Claim(Record):
    """The work that a worker gets for answering a doorbell.

    Attributes:
        shard: The shard's id.
        members: Its items, in slices.
        jobs: The options of each job, by its id.
        owner: Whose jobs they are.
        front: Whether it is interactive work.
        attempts: How often it was tried before.
    """

    shard: str
    members: list[JobSlice]
    jobs: dict[str, ScoringOptions]
    owner: str = ""
    front: bool = False
    attempts: int = 0

    @classmethod
    def parse(cls, text: bytes | str) -> Claim:
        """Read the answer of the claim script. Raises Corrupt."""
        try:
            raw = json.loads(text)
            jobs = {job: parse_options(options) for job, options in raw["jobs"].items()}
            return cls.model_validate(raw | {"jobs": jobs})
        except (ValueError, KeyError, TypeError, AttributeError, ValidationError) as error:
            raise Corrupt("the record of a claimed shard cannot be read") from error


class Requeued(Record):
    """The state of a shard after the requeue script.

    Attributes:
        attempts: How often it has been tried.
        fp: The digest of its fingerprint.
        members: Its items, in slices.
    """

    attempts: int
    fp: str
    members: list[JobSlice]


def parse_record(kind: type[R], text: bytes | str) -> R:
    """Read one record from JSON. Raises Corrupt."""
    try:
        return kind.model_validate_json(text, context=STORED)
    except ValidationError as error:
        raise Corrupt(f"a {kind.__name__} in Redis cannot be read") from error


def stored(options: ScoringOptions) -> str:
    """Return options as they are stored with a job.

    What is not set is left out: a worker of an earlier version refuses a template with a field that it does not know.
    """
    return options.model_dump_json(exclude_none=True)


def parse_options(text: bytes | str) -> ScoringOptions:
    """Read a job's options. What an earlier version accepted is read, be it longer than this one would take.

    Raises:
        pydantic.ValidationError: They are not what any version writes.
    """
    return ScoringOptions.model_validate_json(text, context=STORED)


def parse_members(text: bytes | str) -> list[JobSlice]:
    """Read a shard's members from JSON. Raises Corrupt."""
    try:
        return _MEMBERS.validate_json(text)
    except ValidationError as error:
        raise Corrupt("a shard's members in Redis cannot be read") from error


def dump_shards(shards: Iterable[Shard]) -> str:
    """Return shards as the JSON that the scripts take."""
    return json.dumps([shard.model_dump() for shard in shards])


def commit_args(shard: str, outcomes: Sequence[tuple[JobSlice, int, int, bytes]]) -> list[Any]:
    """Return the arguments of the commit script, from (slice, failed items, tokens, results blob) of each slice."""
    args: list[Any] = [shard]
    for member, failed, tokens, blob in outcomes:
        args += [member.job, member.start, member.count, failed, tokens, blob]
    return args


_MEMBERS = TypeAdapter(list[JobSlice])
