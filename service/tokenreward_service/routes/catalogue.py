"""`GET /v1/models`, `/workers`, `/templates` and `/estimators`: what a request may name, and who is at work."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Literal

from fastapi import APIRouter, Depends
from pydantic import BaseModel

from tokenreward import estimators, templates
from tokenreward.protocol.worker_records import WorkerRecord
from tokenreward.schema import EstimatorInfo, ModelInfo, ParameterInfo, Template
from tokenreward_service.routes.auth import caller
from tokenreward_service.routes.openapi_responses import problems
from tokenreward_service.runtime import RuntimeDep

router = APIRouter(prefix="/v1", tags=["catalogue"], dependencies=[Depends(caller)])


class ModelCard(BaseModel):
    """A model as OpenAI's and vLLM's clients read it (vLLM's `ModelCard`).

    Attributes:
        id: The name that a request may have.
        object: `model`.
        created: Seconds since 1970.
        owned_by: `tokenreward`.
        root: The model's own name.
        parent: None.
        max_model_len: The most tokens of a sequence, and one that would be generated.
    """

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: Literal["tokenreward"] = "tokenreward"
    root: str
    parent: None = None
    max_model_len: int


class Models(BaseModel):
    """Models, live ones first.

    Attributes:
        models: Those that are served, and those that were.
        object: `list`.
        data: Those that are served, as the clients of the teacher wires read them.
    """

    models: list[ModelInfo]
    object: Literal["list"] = "list"
    data: list[ModelCard]


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
    found = await runtime.fleet.models()
    return Models(models=found, data=_cards(found))


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


def _cards(models: list[ModelInfo]) -> list[ModelCard]:
    """A card for each live set-up; the newest of a name has the name, the others have their fingerprint too."""
    cards: dict[str, ModelCard] = {}
    for info in models:
        name = info.name if info.name not in cards else f"{info.name}@{info.fingerprint_digest}"
        if info.workers:
            cards[name] = ModelCard(
                id=name, created=int(time.time()), root=info.name, max_model_len=info.max_tokens + 1
            )
    return list(cards.values())
