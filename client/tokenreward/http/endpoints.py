"""The wire contract as pure functions: arguments to requests, replies to schema objects or errors."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import quote

from pydantic import BaseModel, ValidationError

from tokenreward.errors import BadInput, ConnectionFailed, Rejected, Unavailable
from tokenreward.http.exchange import JSON, NDJSON, Reply, Request, SpooledBody
from tokenreward.schema import Include, Item, JobOptions, Problem, Template

Model = TypeVar("Model", bound=BaseModel)
#: An item as a model, as a mapping, or already as one line of JSON.
ItemLike = Item | Mapping[str, Any] | bytes

#: Answers that mean "not now": nothing was accepted, and the same request may succeed later.
NOT_NOW = frozenset({429, 502, 503, 504})


def options(
    model: str | None, template: str | Template, estimator: str, include: Iterable[Include], strict: bool
) -> JobOptions:
    """Raises BadInput for what no service could understand; whether a name is known is the service's to say."""
    try:
        return JobOptions(model=model, template=template, estimator=estimator, include=list(include), strict=strict)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise BadInput(f"option {first['loc'][0]}: {first['msg']}, not {first['input']!r}") from None


def item_json(item: ItemLike) -> bytes:
    """One item as a line of JSON without its line end. What is wrong with a mapping is for the service to say."""
    if isinstance(item, bytes):
        return item
    if isinstance(item, Item):
        return item.model_dump_json(exclude_defaults=True).encode()
    try:
        return json.dumps(item, ensure_ascii=False, separators=(",", ":"), default=_plain).encode()
    except UnicodeEncodeError:  # a lone surrogate: let it travel escaped, so that the item gets its own error
        return json.dumps(item, separators=(",", ":"), default=_plain).encode()


def label(items: Sequence[bytes], opts: JobOptions, wait: float, key: str) -> Request:
    head = opts.model_dump_json(exclude_defaults=True).encode()[1:-1]
    body = b"{" + head + (b"," if head else b"") + b'"items":[' + b",".join(items) + b"]}"
    headers = {"content-type": JSON, "idempotency-key": key, "prefer": f"wait={wait:g}"}
    return Request("POST", "/v1/label", headers=headers, body=body, wait=wait)


def create_job(body: SpooledBody, media_type: str, opts: JobOptions, key: str) -> Request:
    """With NDJSON the options are query parameters; with JSON they are in the body."""
    params = option_params(opts) if media_type == NDJSON else ()
    return Request(
        "POST", "/v1/jobs", params=params, headers={"content-type": media_type, "idempotency-key": key}, body=body
    )


def option_params(opts: JobOptions) -> list[tuple[str, str]]:
    params = [("template", str(opts.template)), ("estimator", opts.estimator)]
    if opts.model is not None:
        params.append(("model", opts.model))
    params += [("include", name) for name in opts.include]
    if opts.strict:
        params.append(("strict", "true"))
    return params


def job(job_id: str) -> Request:
    return Request("GET", _job_path(job_id))


def jobs(limit: int, cursor: str | None) -> Request:
    params = [("limit", str(limit))] + ([("cursor", cursor)] if cursor else [])
    return Request("GET", "/v1/jobs", params=params)


def cancel(job_id: str) -> Request:
    return Request("POST", _job_path(job_id) + "/cancel")


def retry(job_id: str) -> Request:
    # Twice would start the failed items a second time if they failed in between, which only costs work.
    return Request("POST", _job_path(job_id) + "/retry", repeatable=False)


def delete(job_id: str) -> Request:
    return Request("DELETE", _job_path(job_id), already=404)


def results(job_id: str, start: int, wait: float) -> Request:
    headers = {"accept": NDJSON} | ({"prefer": f"wait={wait:g}"} if wait else {})
    return Request("GET", _job_path(job_id) + "/results", params=[("from", str(start))], headers=headers, wait=wait)


def render(item: ItemLike, template: str | Template) -> Request:
    name = template.model_dump() if isinstance(template, Template) else template
    body = b'{"item":' + item_json(item) + b',"template":' + json.dumps(name).encode() + b"}"
    return Request("POST", "/v1/render", headers={"content-type": JSON}, body=body)


def get(path: str) -> Request:
    return Request("GET", path)


def read(model: type[Model], reply: Reply) -> Model:
    """The reply's body as `model`. Fields that a newer service added are passed over."""
    try:
        return model.model_validate_json(reply.body, extra="ignore")
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = "/".join(map(str, first["loc"]))
        raise ConnectionFailed(
            f"the answer is not a tokenreward {model.__name__} ({where}: {first['msg']}); is this the right address?"
        ) from None


def refusal(reply: Reply) -> Rejected | None:
    """The error that a reply stands for; None if it is a success."""
    if 200 <= reply.status < 300:
        return None
    kind = Unavailable if reply.status in NOT_NOW else Rejected
    return kind(_problem(reply))


def _problem(reply: Reply) -> Problem:
    try:
        return Problem.model_validate_json(reply.body)
    except ValidationError:  # a proxy's page, or another server altogether
        try:
            title = HTTPStatus(reply.status).phrase
        except ValueError:
            title = "Unknown answer"
        return Problem(title=title, status=reply.status, detail=reply.body[:200].decode("utf-8", "replace").strip())


def _job_path(job_id: str) -> str:
    return f"/v1/jobs/{quote(job_id, safe='')}"


def _plain(value: object) -> object:
    """JSON for what people put into an item: models, and the scalars and arrays of numpy and torch."""
    if isinstance(value, BaseModel):
        return value.model_dump()
    for method in ("tolist", "item"):
        if callable(convert := getattr(value, method, None)):
            return convert()
    raise TypeError(f"an item holds a {type(value).__name__}, which is not JSON")
