"""The OpenAPI document: what FastAPI derives, with our bodies, our problems and an example of each.

FastAPI adds a 422 of its own shape to every operation with a parameter; ours are problems, and stand only where they
can happen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from tokenreward.schema import (
    AdapterSource,
    AuditVerdicts,
    Item,
    JobOptions,
    JobRequest,
    Problem,
    RenderRequest,
    ResultsEnd,
)
from tokenreward_service.http.schema_descriptions import describe

_REF = "#/components/schemas/{model}"

_ITEM = {"prompt": "What is the capital of France?", "response": "Paris.", "id": "row-1"}
_IDS = [504, 3575, 282, 4649]
_JOB_BODY = {"items": [_ITEM, {"prompt": [{"role": "user", "content": "Hi"}], "token_ids": [19556, 2]}]}
_NDJSON_BODY = '{"prompt": "The capital of France?", "response": "Paris."}\n{"prompt": "Hi", "response": "Hello!"}\n'

_VERDICT = {
    "fingerprint_digest": "5f0c1e7a9b3d2c84",
    "template": "evidence",
    "template_hash": "0a1b2c3d4e5f6071",
    "estimator": "evidence",
    "estimator_hash": "9f8e7d6c5b4a3928",
    "advice": "yes",
    "words": "these labels find the errors better than surprisal does: worth a training run",
    "responses": 600,
}

#: (method, path) -> media type -> an example of the body
_BODIES: dict[tuple[str, str], dict[str, Any]] = {
    ("post", "/v1/jobs"): {"application/json": _JOB_BODY, "application/x-ndjson": _NDJSON_BODY},
    ("post", "/v1/label"): {"application/json": {"items": [_ITEM], "include": ["tokens"]}},
    ("put", "/v1/models/{model}/adapters/{name}"): {"application/json": {"source": "/runs/dpo/step-100"}},
    ("post", "/v1/completions"): {"application/json": {"prompt": [_IDS], "max_tokens": 1, "prompt_logprobs": 0}},
    ("post", "/inference/v1/generate"): {
        "application/json": {"token_ids": _IDS, "sampling_params": {"max_tokens": 1, "prompt_logprobs": 0}}
    },
    ("post", "/generate"): {
        "application/json": {
            "input_ids": _IDS,
            "sampling_params": {"max_new_tokens": 0},
            "return_logprob": True,
            "logprob_start_len": 0,
        }
    },
    ("put", "/v1/audits"): {"application/json": {"audits": [_VERDICT]}},
    ("post", "/v1/render"): {"application/json": {"item": _ITEM, "template": "revision"}},
}

_RESULT = {"index": 0, "id": "row-1", "token_ids": [7042, 30, 2], "rewards": [0.12, -0.03, 0.01]}
_RESULTS = '{"index": 0, "token_ids": [7042, 30, 2], "rewards": [0.1, -0.3, 0.0]}\n{"next": 1, "complete": true, ...}\n'


def install(app: FastAPI, bodies: Sequence[type[BaseModel]] = ()) -> None:
    """Make `app.openapi` return our document.

    Args:
        app: With all its routes.
        bodies: Models of bodies that routes read themselves and refer to by name, beside those of the schema.
    """

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app, bodies)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _document(app: FastAPI, bodies: Sequence[type[BaseModel]]) -> dict[str, Any]:
    document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    schemas = document["components"]["schemas"]
    ours = (Item, JobRequest, RenderRequest, AdapterSource, AuditVerdicts, Problem, ResultsEnd)
    kinds = [(kind, "validation") for kind in (*ours, *bodies)]
    _, shapes = models_json_schema(kinds, ref_template=_REF)  # type: ignore[arg-type]
    schemas.update(shapes["$defs"])
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    describe(schemas, inherited={"JobRequest": JobOptions})
    schemas["ItemResult"]["example"] = _RESULT
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            _complete(operation, _BODIES.get((method, path), {}))
    return document


def _complete(operation: dict[str, Any], bodies: dict[str, Any]) -> None:
    for media, example in bodies.items():
        operation["requestBody"]["content"][media]["example"] = example
    responses = operation["responses"]
    refused = responses.get("422", {}).get("content", {})
    if "application/problem+json" not in refused:  # FastAPI's own
        responses.pop("422", None)
    else:
        refused.pop("application/json", None)
    for status, response in responses.items():
        content = response.get("content", {})
        if "application/problem+json" in content:
            content.pop("application/json", None)
        if status == "200" and "application/x-ndjson" in content:
            content["application/x-ndjson"]["example"] = _RESULTS
    operation["responses"] = dict(sorted(responses.items()))
