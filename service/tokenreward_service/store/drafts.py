"""Jobs that are being taken in: their entries are staged under an expiry, and nobody can see them yet."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from tokenreward.protocol import keys
from tokenreward.protocol.arrow_blobs import Entry, pack_entries
from tokenreward.protocol.records import ScoringOptions, stored
from tokenreward.protocol.spill import spilled
from tokenreward.schema import JobOptions
from tokenreward_service.problems import unavailable
from tokenreward_service.store.payloads import Payloads

#: What is staged but never published disappears after this many seconds.
_STAGING_TTL = 3600
_HELD_BYTES = 2**20


class Drafts:
    """Stages the entries of drafts.

    Args:
        redis: Async client.
        payloads: Where blobs go.
    """

    def __init__(self, redis: Any, payloads: Payloads) -> None:
        self._redis = redis
        self._payloads = payloads

    async def stage(self, draft: Draft, piece: Slice) -> None:
        """Take one slice into the draft.

        Blobs are held back up to a size, so that a small job is written together with its publication. A reference to a
        spilled blob is not held back: the sweep would remove a blob that Redis does not know of.
        """
        draft.count(piece)
        if piece.scorable:
            draft.slices.append((piece.start, len(piece.entries), piece.estimated))
        else:
            draft.hopeless.append(piece)
        blob = await self._payloads.store_blob(draft.id, pack_entries(piece.entries))
        draft.held[piece.start] = blob
        if spilled(blob) or sum(map(len, draft.held.values())) > _HELD_BYTES:
            held, draft.held = draft.held, {}
            draft.staged += len(held)
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.hset(keys.items(draft.id), mapping=held)
                pipe.expire(keys.items(draft.id), _STAGING_TTL)
                await pipe.execute()

    async def confirm(self, draft: Draft) -> None:
        """Check that everything staged is still there, and keep it while the draft is published.

        Raises:
            ProblemError: 503, if the first slices expired during the upload.
        """
        if not draft.staged:
            return
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.expire(keys.items(draft.id), _STAGING_TTL)
            pipe.hlen(keys.items(draft.id))
            _, there = await pipe.execute()
        if there < draft.staged:
            raise unavailable("The first items of this upload are gone; nothing was accepted. Send it again, faster.")

    async def abandon(self, draft: Draft) -> None:
        """Remove everything that was staged for a draft."""
        await self._redis.delete(keys.items(draft.id))
        await self._payloads.forget(draft.id)


@dataclass(slots=True)
class Draft:
    """One job that is being taken in.

    Attributes:
        plan: What its options were resolved to.
        owner: Whose job it will be.
        ttl: Seconds that it is kept after its end; 0 keeps it until it is deleted.
        id: The id of the job that it will be.
        total: Entries so far.
        invalid: Entries among them that are no items.
        estimated: Estimated tokens so far, all branches.
        slices: (start, count, estimated tokens) of every slice that has work in it.
        idempotency: (key, value) that makes a repetition of the request find this job.
        held: Blobs of slices that are not written yet, by first index.
        staged: How many slices are written.
        hopeless: Slices of nothing but wrong items; their outcomes are published with the job.
        lost: Whether it could not be published, because slices of it were missing.
    """

    plan: Plan
    owner: str
    ttl: int
    id: str = field(default_factory=lambda: uuid4().hex)
    total: int = 0
    invalid: int = 0
    estimated: int = 0
    slices: list[tuple[int, int, int]] = field(default_factory=list)
    idempotency: tuple[str, bytes] | None = None
    held: dict[int, bytes] = field(default_factory=dict)
    staged: int = 0
    hopeless: list[Slice] = field(default_factory=list)
    lost: bool = False

    def count(self, piece: Slice) -> None:
        """Add a slice to the totals."""
        self.total += len(piece.entries)
        self.invalid += sum(entry.item is None for entry in piece.entries)
        self.estimated += piece.estimated

    @property
    def record(self) -> dict[str, str | int]:
        """The job's fields, as `publish.lua` stores them."""
        record: dict[str, str | int] = {
            "owner": self.owner,
            "fp": self.plan.fingerprint,
            "model": self.plan.scoring.provenance.fingerprint.model,
            "total": self.total,
            "invalid": self.invalid,
            "estimated": self.estimated,
            "options": stored(self.plan.scoring),
            "ttl": self.ttl,
        }
        if self.plan.options.origin is not None:
            record["origin"] = self.plan.options.origin.model_dump_json(exclude_defaults=True)
        if self.idempotency:
            record["idempotency"] = self.idempotency[0]
        return record


@dataclass(slots=True)
class Slice:
    """A contiguous run of a job's entries.

    Attributes:
        start: Index of the first entry in the job.
        entries: The entries, in input order.
        estimated: Estimated tokens, all branches.
    """

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

    Attributes:
        options: The options as they were sent.
        scoring: What a worker has to know.
        missing: The names of the models that are needed and that no live worker serves.
        speed: Tokens per second of the slowest worker of any of them, if it was measured.
    """

    options: JobOptions
    scoring: ScoringOptions
    missing: list[str]
    speed: float | None

    @property
    def live(self) -> bool:
        """Whether every model that is needed has a live worker."""
        return not self.missing

    @property
    def fingerprint(self) -> str:
        """The digest of the fingerprint that the job is pinned to."""
        return self.scoring.provenance.fingerprint_digest

    @property
    def stages(self) -> tuple[str, ...]:
        """The digests of all the fingerprints that score its items, in the order in which shards visit them."""
        return tuple(self.scoring.stages)
