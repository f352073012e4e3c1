"""`/v1/jobs/{id}/items`: read what a job was sent, or remove it with its results and keep the record."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel

from tokenreward.protocol.arrow_blobs import Entry
from tokenreward.protocol.ids_item import IdsItem
from tokenreward.schema import Item, ItemFailure
from tokenreward_service.problems import ProblemError
from tokenreward_service.results.sent_items import sent_items
from tokenreward_service.routes.auth import CallerDep, LabelerDep
from tokenreward_service.routes.openapi_responses import problems
from tokenreward_service.routes.request_parsing import existing, unemptied
from tokenreward_service.runtime import RuntimeDep

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])


class SentItem(BaseModel):
    """One place in a job's input.

    Attributes:
        index: The place, from 0.
        id: The item's own id, if it had one.
        item: The item as it was sent; absent if there was none, or if it came as ids.
        prompt_ids: The ids before the scored ones, of an item that came as ids over a teacher's wire.
        token_ids: Its scored ids.
        error: What was wrong with the input there.
    """

    index: int
    id: str | None = None
    item: Item | None = None
    prompt_ids: list[int] | None = None
    token_ids: list[int] | None = None
    error: ItemFailure | None = None


class SentItems(BaseModel):
    """Some of a job's items, in input order.

    Attributes:
        items: The items.
        next: Goes into `?from=` for those that follow; None behind the last one.
    """

    items: list[SentItem]
    next: int | None = None


@router.get(
    "/{job_id}/items",
    response_model=SentItems,
    response_model_exclude_none=True,
    responses=problems(401, 403, 404, 422, 503),
)
async def read(
    job_id: str,
    runtime: RuntimeDep,
    caller: LabelerDep,
    start: Annotated[int, Query(alias="from", ge=0, le=2**53)] = 0,
    limit: Annotated[int, Query(ge=1, le=50)] = 10,
) -> SentItems:
    """What the job was sent: prompts and responses as they came, from item `from` on."""
    job = await unemptied(runtime, job_id, caller.owner)
    found = [_sent(index, entry) async for index, entry in sent_items(runtime.store.payloads, job, start, limit)]
    end = start + len(found)
    return SentItems(items=found, next=end if found and end < job.total_items else None)


def _sent(index: int, entry: Entry) -> SentItem:
    item = entry.item
    if isinstance(item, IdsItem):
        return SentItem(index=index, id=entry.id, prompt_ids=item.prompt_ids, token_ids=item.token_ids)
    return SentItem(index=index, id=entry.id, item=item, error=entry.failure)


@router.delete("/{job_id}/items", status_code=204, responses=problems(401, 404, 409, 503))
async def remove(job_id: str, runtime: RuntimeDep, caller: CallerDep) -> Response:
    """Remove the items and results of a job that is over. Its record stays as long as a finished job is kept.

    The records of emptied jobs with the same `origin.run` become one, with the sum of their counts.
    """
    job = await existing(runtime, job_id, caller.manages)
    if not await runtime.store.empty(job):
        raise ProblemError(409, "Job is not over", f"The job is {job.state}; cancel it first, or delete it.")
    return Response(status_code=204)
