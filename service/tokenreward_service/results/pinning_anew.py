"""Pins a job to another set-up of its model, when nobody serves the one that it waits for."""

from __future__ import annotations

from tokenreward.schema import Job, ModelInfo, ModelUse
from tokenreward_service.results.retry import shards_of_ranges
from tokenreward_service.store.job_store import JobStore
from tokenreward_service.version import VERSION


async def pin_anew(store: JobStore, job: Job, model: ModelInfo) -> bool:
    """Queue all items of a job again, for the workers of another set-up.

    A job has one provenance, which is true of every reward that anybody reads from it. So a job that has rewards is
    left alone. Errors are forgotten: another set-up may take what the former one refused.

    Args:
        store: The job store.
        job: A snapshot of the job.
        model: The set-up that it gets.

    Returns:
        False if it has rewards, or if somebody else has pinned it anew or removed it.

    Raises:
        Corrupt: Stored items cannot be read.
    """
    options = await store.snapshots.options(job.id)
    if options is None:
        return False
    provenance = options.provenance.model_copy(
        update={
            "fingerprint": model.fingerprint,
            "fingerprint_digest": model.fingerprint_digest,
            "tokenreward_version": VERSION,
            "models": [_moved(use, job, model) for use in options.provenance.models],
        }
    )
    pinned = options.model_copy(update={"provenance": provenance})
    shards = await shards_of_ranges(store.payloads, job, pinned.stages[0], [(0, job.total_items)])
    return await store.publisher.pin_anew(job, pinned, shards)


def _moved(use: ModelUse, job: Job, model: ModelInfo) -> ModelUse:
    """The same use of the job's own model in its new set-up; another model stays what it is."""
    if use.fingerprint.base.digest != job.provenance.fingerprint_digest:
        return use
    adapter = {"adapter": use.fingerprint.adapter, "adapter_version": use.fingerprint.adapter_version}
    moved = model.fingerprint.model_copy(update=adapter)
    return ModelUse(fingerprint=moved, fingerprint_digest=moved.digest, branches=use.branches)
