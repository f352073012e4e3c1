"""TODO: what this module owns."""

from __future__ import annotations

from pydantic import ValidationError

from tokenreward.protocol.records import Corrupt, ScoringOptions
from tokenreward.schema import Job, JobProblem, JobState

_LISTED = 500


def _snapshot(job_id: str, fields: dict[bytes, bytes]) -> Job:
    try:
        text = {name.decode(): value.decode() for name, value in fields.items()}
        options = ScoringOptions.model_validate_json(text["options"])
        started = float(text["started"]) if "started" in text else None
        finished = float(text["finished"]) if "finished" in text else None
        done, total = int(text["done"]), int(text["total"])
        tokens, estimated = int(text["tokens"]), int(text["estimated"])
        until = finished or (float(text["progressed"]) if "progressed" in text else None)
        rate = tokens / (until - started) if started and until and tokens and until > started else None
        state = JobState(text["state"])
        eta = (total - done) / done * (until - started) if rate and done and started and until else None
        return Job(
            id=job_id,
            state=state,
            version=int(text["version"]),
            created_at=float(text["created"]),
            started_at=started,
            finished_at=finished,
            total_items=total,
            done_items=done,
            failed_items=int(text["failed"]),
            invalid_items=int(text["invalid"]),
            tokens_estimated=estimated,
            tokens_done=tokens,
            tokens_per_second=rate,
            eta_seconds=None if state.terminal else eta,
            model=options.provenance.fingerprint.model,
            template=options.template.name,
            estimator=options.estimator,
            include=options.include,
            provenance=options.provenance,
            problem=JobProblem(code=text["problem_code"], message=text["problem"]) if "problem" in text else None,
        )
    except (KeyError, ValueError, ValidationError) as error:
        raise Corrupt(f"the record of job {job_id} in Redis cannot be read") from error
