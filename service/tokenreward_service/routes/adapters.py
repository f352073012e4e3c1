"""`/v1/models/{model}/adapters`: put a version of an adapter, list them, and take them off the list."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from pydantic import BaseModel

from tokenreward.protocol.adapter_records import AdapterRecord
from tokenreward.schema import ADAPTER_NAME, AdapterInfo, AdapterSource, ModelInfo
from tokenreward_service.fleet import FleetView
from tokenreward_service.http.decompression import expanded
from tokenreward_service.http.model_in_path import MODEL
from tokenreward_service.intake.parsing import read_json
from tokenreward_service.intake.pinning import choose_model
from tokenreward_service.problems import ProblemError, unavailable
from tokenreward_service.routes.auth import AdminDep, CallerDep
from tokenreward_service.routes.openapi_responses import problems
from tokenreward_service.runtime import Runtime, RuntimeDep
from tokenreward_service.store.adapters import named

router = APIRouter(prefix="/v1/models", tags=["adapters"])

#: Reading and hashing takes a moment; a download from the hub may take longer than any request should.
_WAIT_SECONDS = 50.0
_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/AdapterSource"}}},
    }
}
_VERSIONED = ADAPTER_NAME.removesuffix("$") + "(@[0-9a-f]{16})?$"


class AdapterList(BaseModel):
    """Versions of adapters, the newest first."""

    adapters: list[AdapterInfo]


@router.put(
    f"/{MODEL}/adapters/{{name}}",
    response_model=AdapterInfo,
    responses=problems(400, 401, 403, 413, 415, 422, 503),
    openapi_extra=_BODY,
)
async def put(
    model: str, name: Annotated[str, Path(pattern=ADAPTER_NAME)], request: Request, runtime: RuntimeDep, _: AdminDep
) -> AdapterInfo:
    """Make an adapter known to the workers of a model, as the newest version of its name.

    A worker reads it, checks that it fits, and keeps a copy. Jobs that were accepted before are scored with the version
    that they were pinned to. The same content again is the same version.
    """
    body = await read_json(expanded(request, runtime.settings), AdapterSource, runtime.settings)
    seen, served = await _served(runtime, model)
    takers = [worker for worker in seen.workers if worker.fingerprint_digest == served.fingerprint_digest]
    if not takers:
        raise unavailable(f"No live worker serves {served.name}, and the adapter has to be read by one.", 5)
    if not all(worker.max_adapters for worker in takers):
        detail = f"Not all workers of {served.name} take adapters: start them with --max-adapters."
        raise ProblemError(422, "Adapter refused", detail)
    answer = await runtime.adapters.order(served.fingerprint, name, body.source, _WAIT_SECONDS)
    if answer is None:
        raise unavailable(f"No worker has read {body.source} yet; send the same request again.", 5)
    if answer.record is None:
        raise ProblemError(422, "Adapter refused", answer.refusal)
    return _info(answer.record, seen)


@router.get(f"/{MODEL}/adapters", response_model=AdapterList, responses=problems(401, 422, 503))
async def list_all(model: str, runtime: RuntimeDep, _: CallerDep) -> AdapterList:
    """Every version of every adapter of a model, the newest first."""
    seen, served = await _served(runtime, model)
    return AdapterList(adapters=[_info(record, seen) for record in await runtime.adapters.of(served.fingerprint)])


@router.get(f"/{MODEL}/adapters/{{name}}", response_model=AdapterInfo, responses=problems(401, 404, 422, 503))
async def show(
    model: str, name: Annotated[str, Path(pattern=_VERSIONED)], runtime: RuntimeDep, _: CallerDep
) -> AdapterInfo:
    """The newest version of an adapter, or with `name@version` that one."""
    seen, served = await _served(runtime, model)
    return _info((await _known(runtime, served, name))[0], seen)


@router.delete(f"/{MODEL}/adapters/{{name}}", status_code=204, responses=problems(401, 403, 404, 422, 503))
async def delete(
    model: str, name: Annotated[str, Path(pattern=_VERSIONED)], runtime: RuntimeDep, _: AdminDep
) -> Response:
    """Take an adapter with all its versions off the list, or with `name@version` that one.

    No new job can name it then. Jobs that are pinned to it are still scored with it.
    """
    _seen, served = await _served(runtime, model)
    await runtime.adapters.forget(served.fingerprint, await _known(runtime, served, name))
    return Response(status_code=204)


async def _served(runtime: Runtime, model: str) -> tuple[FleetView, ModelInfo]:
    seen = await runtime.fleet.look()
    return seen, choose_model(model, seen.models)


async def _known(runtime: Runtime, served: ModelInfo, name: str) -> list[AdapterRecord]:
    found = named(await runtime.adapters.of(served.fingerprint), name)
    if not found:
        raise ProblemError(404, "No such adapter", f"{served.name} has no adapter {name!r}.")
    return found


def _info(record: AdapterRecord, seen: FleetView) -> AdapterInfo:
    holders = [worker.id for worker in seen.workers if record.version in worker.adapters]
    return AdapterInfo(**record.model_dump(), workers=holders)
