"""What there is: models, workers, templates, estimators, and how a template renders an item."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel

from tokenreward import estimators, templates
from tokenreward.errors import UnknownName
from tokenreward.protocol.shards import WorkerRecord
from tokenreward.schema import (
    EstimatorInfo,
    ModelInfo,
    PointedError,
    Rendered,
    RenderedBranch,
    RenderRequest,
    Template,
)
from tokenreward_service.access import caller
from tokenreward_service.bodies import expanded
from tokenreward_service.intake import read_json, too_long
from tokenreward_service.problems import ProblemError
from tokenreward_service.routes.common import problems
from tokenreward_service.state import StateDep

router = APIRouter(prefix="/v1", tags=["catalogue"], dependencies=[Depends(caller)])

#: What all branches together may show: as if each of the most that a template has showed the longest item.
_MOST_ITEMS_SHOWN = 16

_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/RenderRequest"}}},
    }
}


class Models(BaseModel):
    models: list[ModelInfo]


class Workers(BaseModel):
    workers: list[WorkerRecord]


class Templates(BaseModel):
    templates: list[Template]


class Estimators(BaseModel):
    estimators: list[EstimatorInfo]


@router.get("/models", response_model=Models, responses=problems(401, 503))
async def models(state: StateDep) -> Models:
    """Models that are served, and those that were (`workers: 0`)."""
    return Models(models=await state.catalogue.models())


@router.get("/workers", response_model=Workers, responses=problems(401, 503))
async def workers(state: StateDep) -> Workers:
    """Live workers: what they serve, what they hold, how busy they are."""
    return Workers(workers=await state.catalogue.workers())


@router.get("/templates", response_model=Templates, responses=problems(401, 503))
async def list_templates() -> Templates:
    """The templates that come with the service."""
    return Templates(templates=list(templates.shipped().values()))


@router.get("/estimators", response_model=Estimators, responses=problems(401, 503))
async def list_estimators() -> Estimators:
    """The estimators that come with the service."""
    return Estimators(
        estimators=[
            EstimatorInfo(name=e.name, branches=list(e.branches), formula=e.formula, hash=e.hash)
            for e in estimators.shipped().values()
        ]
    )


@router.post("/render", response_model=Rendered, responses=problems(400, 401, 413, 415, 422, 503), openapi_extra=_BODY)
async def render(request: Request, state: StateDep) -> Rendered:
    """The text of every branch for one item, before the model's own chat template."""
    body = await read_json(expanded(request, state.settings), RenderRequest, state.settings)
    if failure := too_long(body.item, state.settings):
        raise _cannot_render("/item", failure.message)
    try:
        template = templates.resolve(body.template)
    except UnknownName as error:
        raise _cannot_render("/template", str(error)) from error
    length = sum(templates.lengths(template, body.item).values())
    most = _MOST_ITEMS_SHOWN * state.settings.max_item_chars
    if length > most:
        raise _cannot_render("/template", f"it makes {length} characters of this item, the service shows {most}")
    try:
        branches = templates.render(template, body.item)
    except ValueError as error:
        raise _cannot_render("/item/response", str(error)) from error
    return Rendered(
        template=template.name,
        template_hash=template.hash,
        branches={name: RenderedBranch(messages=messages) for name, messages in branches.items()},
    )


def _cannot_render(pointer: str, detail: str) -> ProblemError:
    return ProblemError(422, "Cannot render", errors=[PointedError(pointer=pointer, detail=detail)])
