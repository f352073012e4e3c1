"""TODO: what this module owns."""

from __future__ import annotations

from collections.abc import AsyncIterator

from fastapi import Request

from tokenreward.schema import JobOptions, JobRequest
from tokenreward_service.http.decompression import expanded
from tokenreward_service.intake import idempotency
from tokenreward_service.intake.admission import Admission
from tokenreward_service.intake.job_builder import JobBuilder
from tokenreward_service.intake.parsing import check_items, read_json, read_ndjson
from tokenreward_service.routes.request_parsing import NDJSON, options_of
from tokenreward_service.runtime import Runtime
from tokenreward_service.store.drafts import Draft
from tokenreward_service.store.publishing import shards_of


async def _once(
    request: Request,
    state: Runtime,
    owner: str,
    admission: Admission,
    kind: str,
    options: JobOptions,
    key: str | None,
) -> str:
    """The job of this request: a new one, or the one that an earlier request with the same key made."""
    body = expanded(request, state.settings)
    if key is None:
        return (await _publish(body, state, owner, admission, kind, options, None)).id
    earlier = idempotency.Request(state.redis, owner, key, f"{kind} {options.model_dump_json()}")
    left = await earlier.claim()
    if left is not None:
        async for _ in earlier.hashing(body):
            pass
        return earlier.same_job(left)
    try:
        return (await _publish(earlier.hashing(body), state, owner, admission, kind, options, earlier)).id
    finally:
        await earlier.release()


async def _publish(
    body: AsyncIterator[bytes],
    state: Runtime,
    owner: str,
    admission: Admission,
    kind: str,
    options: JobOptions,
    request: idempotency.Request | None,
) -> Draft:
    draft = await _taken_in(body, state, owner, admission, kind, options)
    if request is not None:
        draft.idempotency = (request.record, request.settled(draft.id))
    # From here on the job may exist even if we are told otherwise (an answer can get lost): nothing is taken back.
    await state.store.publish([draft], shards_of(draft))
    return draft


async def _taken_in(
    body: AsyncIterator[bytes],
    state: Runtime,
    owner: str,
    admission: Admission,
    kind: str,
    options: JobOptions,
    *,
    dry: bool = False,
) -> Draft:
    """The whole body as a draft; what was staged of it is gone if anything is wrong."""
    taking: JobBuilder | None = None
    ttl = state.settings.job_ttl_seconds
    try:
        if kind == NDJSON:
            taking = JobBuilder(state, await state.catalogue.plan(options), owner, ttl, dry=dry)
            async for entries in read_ndjson(body, state.settings):
                await taking.take(entries)
        else:
            parsed = await read_json(body, JobRequest, state.settings, admission)
            taking = JobBuilder(state, await state.catalogue.plan(options_of(parsed)), owner, ttl, dry=dry)
            await taking.take(check_items(parsed.items, state.settings))
        return await taking.end()
    except BaseException:
        if taking is not None:
            await state.store.abandon(taking.draft)
        raise
