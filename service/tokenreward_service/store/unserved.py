"""Jobs whose set-up nobody serves: what they wait for, and what they could be pinned to instead."""

from __future__ import annotations

from tokenreward import estimators
from tokenreward.schema import Job, ModelInfo, Waiting
from tokenreward_service.fleet import FleetView, is_awaited


def instead(job: Job, seen: FleetView) -> list[ModelInfo]:
    """The set-ups of the job's model that are served now and fit its estimator, newest first.

    There are none if one of those that are served is the job's own.
    """
    served = [info for info in seen.models if info.workers and info.name == job.model]
    if any(use.fingerprint.adapter for use in job.provenance.models):  # an adapter belongs to its model's weights
        weights = job.provenance.fingerprint.model_hash
        served = [info for info in served if info.fingerprint.model_hash == weights]
    own = job.provenance.fingerprint_digest
    if any(info.fingerprint_digest == own for info in served):
        return []
    estimator = estimators.shipped().get(job.estimator)
    return [info for info in served if estimator is None or estimator.unfit_model(info.fingerprint) is None]


def waiting(job: Job, seen: FleetView) -> Waiting | None:
    """What the job waits for; None if it is over, or each of its models has a live worker.

    Args:
        job: A snapshot.
        seen: The fleet as it is now.
    """
    own = job.provenance.fingerprint_digest
    if is_awaited(job.provenance.fingerprint) and not job.state.terminal:
        return Waiting(
            model=f"{job.model}@{own}", served=[], retry=False, message=f"waits for the first worker of {job.model}"
        )
    alive = {worker.fingerprint_digest for worker in seen.workers}
    absent = [fingerprint for digest, fingerprint in job.provenance.bases.items() if digest not in alive]
    if job.state.terminal or not absent:
        return None
    if own in alive:
        names = " and ".join(f"{fingerprint.model}@{fingerprint.digest}" for fingerprint in absent)
        message = f"waits for {names}, which score some of its branches and which nobody serves at the moment"
        return Waiting(model=names, served=[], retry=False, message=message)
    served = [f"{info.name}@{info.fingerprint_digest}" for info in instead(job, seen)]
    rewarded = job.done_items - job.failed_items
    if not served:
        way = f"no other set-up of {job.model} is served that the job could take"
    elif rewarded:
        way = (
            f"served now: {', '.join(served)}; {rewarded} items have rewards of the former, and a job has one set-up: "
            "cancel it to keep these rewards, and send the other items as a new job"
        )
    else:
        way = f"served now: {', '.join(served)}; a retry (POST /v1/jobs/{job.id}/retry) pins it to {served[0]}"
    return Waiting(
        model=f"{job.model}@{own}",
        served=served,
        retry=bool(served) and not rewarded,
        message=f"waits for {job.model}@{own}, which nobody serves any more; {way}",
    )
