"""One request for work, from its body to a published job; `POST /v1/jobs` and `POST /v1/label` share it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import redis.exceptions

from tokenreward.protocol.arrow_blobs import Entry
from tokenreward.schema import JobOptions, JobRequest
from tokenreward_service.fleet import Fleet
from tokenreward_service.http.media_types import NDJSON
from tokenreward_service.intake.admission import Admission
from tokenreward_service.intake.coalescing import Coalescer
from tokenreward_service.intake.idempotency import IdempotentRequest
from tokenreward_service.intake.job_builder import JobBuilder
from tokenreward_service.intake.json_shape import OBJECT_ENDS
from tokenreward_service.intake.parsing import check_items, options_of, read_json, read_ndjson
from tokenreward_service.intake.pinning import plan
from tokenreward_service.problems import ProblemError, unavailable
from tokenreward_service.settings import ServiceSettings
from tokenreward_service.store.adapters import Adapters
from tokenreward_service.store.drafts import Draft, Plan
from tokenreward_service.store.job_store import JobStore
from tokenreward_service.store.publishing import shards_of


@dataclass(frozen=True, slots=True)
class Submission:
    """One request for work.

    Attributes:
        body: The decompressed body, which is read once; or the entries that a route made of another kind of body.
        kind: The body's media type, JSON or NDJSON.
        options: The job's options, but where they are in the body, as they are in JSON.
        owner: Whose job it will be.
        ttl: Seconds that the job is kept after its end; 0 keeps it until it is deleted.
        admission: The request's place among those that are being taken in.
        key: Its Idempotency-Key.
        interactive: Somebody waits for the answer: the request may have few items only, needs a live worker, and shares
            shards, which overtake bulk work, with other such requests.
        dry: Only count; nothing is staged, and the draft cannot be published.
    """

    body: AsyncIterator[bytes] | Sequence[Entry]
    kind: str
    options: JobOptions
    owner: str
    ttl: int
    admission: Admission
    key: str | None = None
    interactive: bool = False
    dry: bool = False


class Intake:
    """Turns submissions into jobs.

    Args:
        redis: Async client.
        store: The job store.
        fleet: What models there are.
        adapters: And which adapters of them.
        coalescer: Publishes interactive work.
        settings: The service's settings.
    """

    def __init__(
        self,
        redis: Any,
        store: JobStore,
        fleet: Fleet,
        adapters: Adapters,
        coalescer: Coalescer,
        settings: ServiceSettings,
    ) -> None:
        self._redis = redis
        self._store = store
        self._fleet = fleet
        self._adapters = adapters
        self._coalescer = coalescer
        self._settings = settings

    async def submit(self, submission: Submission) -> str:
        """Publish the submission's job.

        Returns:
            The id of the new job, or of the one that an earlier request with the same key and content made.

        Raises:
            ProblemError: The request is refused; nothing of it was accepted, or its key finds what may be there.
        """
        job_id = await self._job_of(submission)
        try:
            await self._store.replicas.have(job_id)  # of an earlier request's job, too: it may have been told otherwise
        except (ProblemError, redis.exceptions.RedisError):
            if submission.key is None:  # nobody could find the job: sent again, the work would be done twice
                await self._store.withdraw(job_id, submission.owner)
            raise
        return job_id

    async def _job_of(self, submission: Submission) -> str:
        if submission.key is None:
            return (await self._publish(submission)).id
        assert isinstance(submission.body, AsyncIterator), "a request with an Idempotency-Key is compared by its body"
        described = f"{submission.kind} {submission.options.model_dump_json()}"
        request = IdempotentRequest(self._redis, submission.owner, submission.key, described)
        earlier = await request.claim()
        body = request.hashing(submission.body)
        noted = replace(submission, body=body)
        if earlier is not None:
            async for _ in body:
                pass
            return request.same_job(earlier)
        try:
            return (await self._publish(noted, request)).id
        finally:
            await request.release()

    async def read(self, submission: Submission) -> Draft:
        """The whole body as a draft, ready to be published.

        Raises:
            ProblemError: Something is wrong with the request; what was staged of it is gone.
        """
        builder: JobBuilder | None = None
        try:
            if isinstance(submission.body, Sequence):
                builder = self._builder(submission, await self._plan(submission.options, submission))
                await builder.take(submission.body)
            elif submission.kind == NDJSON:
                builder = self._builder(submission, await self._plan(submission.options, submission))
                async for entries in read_ndjson(submission.body, self._settings):
                    await builder.take(entries)
            else:
                request = await read_json(
                    submission.body, JobRequest, self._settings, submission.admission, OBJECT_ENDS
                )
                self._check_count(request, submission)
                builder = self._builder(submission, await self._plan(options_of(request), submission))
                await builder.take(check_items(request.items, self._settings))
            return await builder.end()
        except BaseException:
            if builder is not None:
                await self._store.drafts.abandon(builder.draft)
            raise

    async def _publish(self, submission: Submission, request: IdempotentRequest | None = None) -> Draft:
        draft = await self.read(submission)
        if request is not None:
            draft.idempotency = (request.record, request.settled(draft.id))
        # From here on the job may exist even if we are told otherwise (an answer can get lost): nothing is taken back.
        if submission.interactive:
            await self._coalescer.publish(draft)
        else:
            await self._store.publisher.publish([draft], shards_of(draft))
        if draft.lost:
            # Its shards, which wait for nothing, and what was spilled.
            await self._store.withdraw(draft.id, draft.owner)
            raise unavailable("The job store has lost items of this upload; nothing was accepted. Send it again.")
        return draft

    async def _plan(self, options: JobOptions, submission: Submission) -> Plan:
        found = await plan(options, self._fleet, self._adapters)
        if submission.interactive and found.missing:
            raise unavailable(f"No live worker serves {' or '.join(found.missing)}.", 5)
        return found

    def _builder(self, submission: Submission, found: Plan) -> JobBuilder:
        draft = Draft(found, submission.owner, submission.ttl)
        return JobBuilder(self._store.drafts, draft, self._settings, dry=submission.dry)

    def _check_count(self, request: JobRequest, submission: Submission) -> None:
        most = self._settings.max_label_items
        if submission.interactive and len(request.items) > most:
            raise ProblemError(413, "Too many items", f"At most {most} items at once; use POST /v1/jobs for more.")
