"""Claimed shards for tests of the worker: as preparation leaves them, or of items in a real job store."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tokenreward import estimators, templates
from tokenreward.protocol import keys
from tokenreward.protocol.arrow_blobs import Entry, pack_entries
from tokenreward.protocol.records import Claim, JobSlice, ScoringOptions
from tokenreward.schema import Fingerprint, Item, Provenance
from tokenreward_workers.rendering import Prepared
from tokenreward_workers.scoring import Row, Scoring
from tokenreward_workers.shards.claimed_shard import ClaimedShard, Place
from tokenreward_workers.shards.logprob_cache import branch_hashes
from tokenreward_workers.store.job_store import JobStoreClient

FINGERPRINT = Fingerprint(
    model="tiny", model_hash="m", tokenizer_hash="t", engine="synthetic", engine_version="1", dtype="float32"
)


def scoring_options(estimator: str = "contrast", include: Sequence[str] = ()) -> ScoringOptions:
    template, known = templates.resolve("revision"), estimators.shipped()
    provenance = Provenance(
        fingerprint=FINGERPRINT,
        fingerprint_digest=FINGERPRINT.digest,
        template=template.name,
        template_hash=template.hash,
        estimator=estimator,
        estimator_hash=known[estimator].hash if estimator in known else "unknown",
        tokenreward_version="0",
    )
    return ScoringOptions(template=template, estimator=estimator, include=list(include), provenance=provenance)


def scoring(n: int) -> Scoring:
    return Scoring((1, 2, n), {"better": (3, 4), "worse": (5,)}, (n, 6, 7))


def claimed(
    shard: str,
    scorings: int,
    *,
    front: bool = False,
    attempts: int = 0,
    jobs: Sequence[str] = ("j",),
    owner: str = "",
) -> ClaimedShard:
    """A shard that is ready for the stream. Its items belong to `jobs`, which are `owner`'s, in equal runs."""
    each = scorings // len(jobs)
    members = [JobSlice(job=job, slice=0, offset=0, count=max(1, each)) for job in jobs]
    options = dict.fromkeys(jobs, scoring_options())
    claim = Claim(shard=shard, members=members, jobs=options, owner=owner, front=front, attempts=attempts)
    made = ClaimedShard(claim)
    for n in range(scorings):
        work = scoring(n + 10 * int(shard[0], 16))
        place = Place(members[n // each], n, str(n), prepared=Prepared(work, "text"))
        made.places.append(place)
        made.scorings.append(work)
        made.wanted_by.append([place])
        made.hashes.append(branch_hashes(work))
    return made


def put(store: JobStoreClient, job: str, responses: list[str]) -> JobSlice:
    """Store a job's items. Returns the member that stands for all of them."""
    entries = [Entry(str(n), item=Item(prompt="p", response=text)) for n, text in enumerate(responses)]
    store.client.hset(keys.items(job), 0, b"i" + pack_entries(entries))
    return JobSlice(job=job, slice=0, offset=0, count=len(responses))


def shard_of(*members: JobSlice, estimator: str = "contrast", include: tuple[str, ...] = ()) -> ClaimedShard:
    jobs = {member.job: scoring_options(estimator, include) for member in members}
    return ClaimedShard(Claim(shard="a" * 32, members=list(members), jobs=jobs))


def give_rows(shard: ClaimedShard) -> None:
    """Settle every scoring, each with log-probs of its own."""
    for n, scoring in enumerate(shard.scorings):
        length = len(scoring.response)
        rows = {name: Row(np.full(length, -1 - n - i, np.float32)) for i, name in enumerate(scoring.branches)}
        shard.settle(n, rows)
