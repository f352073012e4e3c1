"""`POST /v1/render`: the text that every branch of a template shows for one item."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Request

from tokenreward import templates
from tokenreward.errors import BadInput, UnknownName
from tokenreward.schema import PointedError, Rendered, RenderedBranch, RenderRequest
from tokenreward_service.http.decompression import expanded
from tokenreward_service.intake.parsing import read_json, too_long
from tokenreward_service.problems import ProblemError
from tokenreward_service.routes.auth import caller
from tokenreward_service.routes.openapi_responses import problems
from tokenreward_service.runtime import RuntimeDep

router = APIRouter(prefix="/v1", tags=["catalogue"], dependencies=[Depends(caller)])

#: All branches together may show this many times the longest item; a template has at most as many branches.
_MOST_ITEMS_SHOWN = 16

_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/RenderRequest"}}},
    }
}


@router.post("/render", response_model=Rendered, responses=problems(400, 401, 413, 415, 422, 503), openapi_extra=_BODY)
async def render(request: Request, runtime: RuntimeDep) -> Rendered:
    """The text of every branch for one item, before the model's own chat template."""
    body = await read_json(expanded(request, runtime.settings), RenderRequest, runtime.settings)
    if failure := too_long(body.item, runtime.settings):
        raise _cannot_render("/item", failure.message)
    try:
        template = templates.resolve(body.template)
    except UnknownName as error:
        raise _cannot_render("/template", str(error)) from error
    try:
        length = sum(templates.lengths(template, body.item).values())
        most = _MOST_ITEMS_SHOWN * runtime.settings.max_item_chars
        if length > most:
            raise _cannot_render("/template", f"it makes {length} characters of this item, the service shows {most}")
        branches = templates.render(template, body.item)
    except BadInput as error:
        raise _cannot_render("/item", str(error)) from error
    return Rendered(
        template=template.name,
        template_hash=template.hash,
        branches={name: RenderedBranch(messages=messages) for name, messages in branches.items()},
    )


def _cannot_render(pointer: str, detail: str) -> ProblemError:
    return ProblemError(422, "Cannot render", errors=[PointedError(pointer=pointer, detail=detail)])
