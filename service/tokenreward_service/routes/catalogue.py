"""`GET /v1/models`, `/workers`, `/templates` and `/estimators`: what a request may name, and who is at work."""

from __future__ import annotations

from dataclasses import asdict

from fastapi import APIRouter, Depends
from pydantic import BaseModel

from tokenreward import estimators, templates
from tokenreward.protocol.worker_records import WorkerRecord
from tokenreward.schema import EstimatorInfo, ModelInfo, ParameterInfo, Template
from tokenreward_service.routes.auth import caller
from tokenreward_service.routes.openapi_responses import problems
from tokenreward_service.runtime import RuntimeDep

router = APIRouter(prefix="/v1", tags=["catalogue"], dependencies=[Depends(caller)])


class Models(BaseModel):
    """Models, live ones first."""

    models: list[ModelInfo]


class Workers(BaseModel):
    """Live workers, oldest first."""

    workers: list[WorkerRecord]


class Templates(BaseModel):
    """Shipped templates."""

    templates: list[Template]


class Estimators(BaseModel):
    """Shipped estimators."""

    estimators: list[EstimatorInfo]


@router.get("/models", response_model=Models, responses=problems(401, 503))
async def models(runtime: RuntimeDep) -> Models:
    """Models that are served, and those that were (`workers: 0`)."""
    return Models(models=await runtime.fleet.models())


@router.get("/workers", response_model=Workers, responses=problems(401, 503))
async def workers(runtime: RuntimeDep) -> Workers:
    """Live workers: what they serve, what they hold, how busy they are."""
    return Workers(workers=await runtime.fleet.workers())


@router.get("/templates", response_model=Templates, responses=problems(401, 503))
async def list_templates() -> Templates:
    """The templates that come with the service."""
    return Templates(templates=list(templates.shipped().values()))


@router.get("/estimators", response_model=Estimators, responses=problems(401, 503))
async def list_estimators() -> Estimators:
    """The estimators that come with the service."""
    return Estimators(
        estimators=[
            EstimatorInfo(
                name=e.name,
                branches=list(e.branches),
                formula=e.formula,
                hash=e.hash,
                template=e.template,
                source=e.source,
                parameters={name: ParameterInfo(**asdict(parameter)) for name, parameter in e.parameters.items()},
                repeated=list(e.repeated),
                fields=list(e.fields),
                moments=e.moments,
                unbounded=e.unbounded,
            )
            for e in estimators.shipped().values()
        ]
    )
