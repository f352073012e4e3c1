"""`/v1/audits`: what the last audit of each label found, for whoever looks at these labels."""

from __future__ import annotations

import time

from fastapi import APIRouter, Request
from pydantic import BaseModel

from tokenreward.protocol import keys
from tokenreward.protocol.records import parse_record
from tokenreward.schema import AuditVerdict, AuditVerdicts, digest
from tokenreward_service.http.decompression import expanded
from tokenreward_service.intake.parsing import read_json
from tokenreward_service.routes.auth import CallerDep, LabelerDep
from tokenreward_service.routes.openapi_responses import problems
from tokenreward_service.runtime import RuntimeDep

router = APIRouter(prefix="/v1/audits", tags=["catalogue"])

#: How many verdicts an owner has at most, as many as one audit may bring.
KEPT = 200


class KeptVerdict(AuditVerdict):
    """A verdict, and when it was left here.

    Attributes:
        at: Unix seconds.
    """

    at: float


class Verdicts(BaseModel):
    """The last verdict on each label, newest first."""

    audits: list[KeptVerdict]


_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/AuditVerdicts"}}},
    }
}


@router.get("", response_model=Verdicts, responses=problems(401, 503))
async def verdicts(runtime: RuntimeDep, caller: CallerDep) -> Verdicts:
    """What your last audit of each label found."""
    stored = await runtime.redis.hvals(keys.audits(caller.owner))
    found = [parse_record(KeptVerdict, text) for text in stored]
    return Verdicts(audits=sorted(found, key=lambda verdict: verdict.at, reverse=True))


@router.put(
    "", response_model=Verdicts, responses=problems(400, 401, 403, 413, 415, 422, 429, 503), openapi_extra=_BODY
)
async def keep(request: Request, runtime: RuntimeDep, caller: LabelerDep) -> Verdicts:
    """Keep the verdicts of an audit. Each replaces the former one on the same label of the same set-up.

    The newest 200 are kept.
    """
    await runtime.admission.check()
    new = await read_json(expanded(request, runtime.settings), AuditVerdicts, runtime.settings)
    now = time.time()
    kept = {_label(one): KeptVerdict(**one.model_dump(), at=now).model_dump_json() for one in new.audits}
    key = keys.audits(caller.owner)
    await runtime.redis.hset(key, mapping=kept)
    stored = await runtime.redis.hgetall(key)
    oldest = sorted(stored, key=lambda label: parse_record(KeptVerdict, stored[label]).at)[:-KEPT]
    if oldest:
        await runtime.redis.hdel(key, *oldest)
    return await verdicts(runtime, caller)


def _label(verdict: AuditVerdict) -> str:
    of = {"fingerprint_digest", "template_hash", "estimator_hash", "pool"}
    return digest(verdict.model_dump(include=of))
