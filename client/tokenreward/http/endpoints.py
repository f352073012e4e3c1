"""One function for each endpoint of the HTTP API: it builds the request from its arguments."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

from pydantic import ValidationError

from tokenreward.errors import BadInput
from tokenreward.http.exchange import JSON, NDJSON, Request, SpooledBody
from tokenreward.http.item_encoding import ItemLike, item_json
from tokenreward.schema import AuditVerdict, Include, JobOptions, Pool, PoolBy, Template

#: Seconds that a request and its answer may take on their way, beside what the caller waits for.
_WAY = 0.5


def job_options(
    model: str | None,
    template: str | Template | None,
    estimator: str,
    parameters: Mapping[str, float] | None,
    pool: Pool | None,
    pool_by: PoolBy,
    include: Iterable[Include],
    top_k: int,
    strict: bool,
    models: Mapping[str, str] | None = None,
) -> JobOptions:
    """Validate the options of a job.

    Only their form is checked. The service decides whether it knows a name.

    Raises:
        BadInput: No service could understand an option.
    """
    try:
        return JobOptions(
            model=model,
            template=template,
            estimator=estimator,
            parameters=dict(parameters or {}),
            pool=pool,
            pool_by=pool_by,
            include=list(include),
            top_k=top_k,
            strict=strict,
            models=dict(models or {}),
        )
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        if not first["loc"]:  # two options that do not go together
            raise BadInput(first["msg"]) from None
        raise BadInput(f"option {first['loc'][0]}: {first['msg']}, not {first['input']!r}") from None


def label(items: Sequence[bytes], options: JobOptions, wait: float, key: str, timeout: float | None = None) -> Request:
    """Build `POST /v1/label`.

    Args:
        items: One line of JSON for each item.
        options: How the items are scored.
        wait: Seconds for which the service may hold its answer back.
        key: The idempotency key.
        timeout: Seconds after which the caller does not wait any longer.
    """
    wait = wait if timeout is None else max(0.0, min(wait, timeout))
    head = options.model_dump_json(exclude_defaults=True).encode()[1:-1]
    body = b"{" + head + (b"," if head else b"") + b'"items":[' + b",".join(items) + b"]}"
    headers = {"content-type": JSON, "idempotency-key": key, "prefer": f"wait={round(wait, 3):g}"}
    return Request("POST", "/v1/label", headers=headers, body=body, wait=wait, within=_within(timeout))


def create_job(body: SpooledBody, media_type: str, options: JobOptions, key: str) -> Request:
    """Build `POST /v1/jobs`. With NDJSON the options are query parameters; with JSON they are in the body."""
    params = _option_params(options) if media_type == NDJSON else ()
    headers = {"content-type": media_type, "idempotency-key": key}
    return Request("POST", "/v1/jobs", params=params, headers=headers, body=body)


def job(job_id: str, timeout: float | None = None) -> Request:
    """Build `GET /v1/jobs/{id}`, for a caller who does not wait longer than `timeout` seconds."""
    return Request("GET", _job_path(job_id), within=_within(timeout))


def jobs(limit: int, cursor: str | None) -> Request:
    """Build `GET /v1/jobs` for the page that begins at `cursor`, or for the first page."""
    params = [("limit", str(limit))] + ([("cursor", cursor)] if cursor else [])
    return Request("GET", "/v1/jobs", params=params)


def cancel(job_id: str) -> Request:
    """Build `POST /v1/jobs/{id}/cancel`."""
    return Request("POST", _job_path(job_id) + "/cancel")


def retry(job_id: str) -> Request:
    """Build `POST /v1/jobs/{id}/retry`."""
    # A second retry would score items again that failed in between, which only costs work.
    return Request("POST", _job_path(job_id) + "/retry", repeatable=False)


def delete(job_id: str) -> Request:
    """Build `DELETE /v1/jobs/{id}`."""
    return Request("DELETE", _job_path(job_id), already=404)


def empty(job_id: str) -> Request:
    """Build `DELETE /v1/jobs/{id}/items`."""
    return Request("DELETE", _job_path(job_id) + "/items", already=404)


def keep_verdicts(verdicts: Sequence[AuditVerdict]) -> Request:
    """Build `PUT /v1/audits`."""
    body = json.dumps({"audits": [verdict.model_dump(mode="json") for verdict in verdicts]}).encode()
    return Request("PUT", "/v1/audits", headers={"content-type": JSON}, body=body)


def results(job_id: str, start: int, wait: float) -> Request:
    """Build `GET /v1/jobs/{id}/results` from item `start` on, held back for at most `wait` seconds."""
    headers = {"accept": NDJSON} | ({"prefer": f"wait={wait:g}"} if wait else {})
    return Request("GET", _job_path(job_id) + "/results", params=[("from", str(start))], headers=headers, wait=wait)


def render(item: ItemLike, template: str | Template) -> Request:
    """Build `POST /v1/render`."""
    name = template.model_dump() if isinstance(template, Template) else template
    body = b'{"item":' + item_json(item) + b',"template":' + json.dumps(name).encode() + b"}"
    return Request("POST", "/v1/render", headers={"content-type": JSON}, body=body)


def put_adapter(model: str, name: str, source: str | Path) -> Request:
    """Build `PUT /v1/models/{model}/adapters/{name}`. A folder of this host is named by its whole path."""
    whole = str(Path(source).expanduser().resolve()) if Path(source).expanduser().is_dir() else str(source)
    body = json.dumps({"source": whole}).encode()
    return Request("PUT", _adapter_path(model, name), headers={"content-type": JSON}, body=body, wait=60.0)


def adapters(model: str) -> Request:
    """Build `GET /v1/models/{model}/adapters`."""
    return Request("GET", f"/v1/models/{quote(model)}/adapters")


def adapter(model: str, name: str) -> Request:
    """Build `GET /v1/models/{model}/adapters/{name}`."""
    return Request("GET", _adapter_path(model, name))


def delete_adapter(model: str, name: str) -> Request:
    """Build `DELETE /v1/models/{model}/adapters/{name}`."""
    return Request("DELETE", _adapter_path(model, name), already=404)


def get(path: str) -> Request:
    """Build a `GET` of an endpoint without arguments, such as `/v1/models`."""
    return Request("GET", path)


def _option_params(options: JobOptions) -> list[tuple[str, str]]:
    params = [("estimator", options.estimator)]
    if options.template is not None:
        params.append(("template", str(options.template)))
    if options.model is not None:
        params.append(("model", options.model))
    if options.parameters:
        params.append(("parameters", json.dumps(options.parameters)))
    if options.models:
        params.append(("models", json.dumps(options.models)))
    if options.pool is not None:
        params += [("pool", options.pool), ("pool_by", options.pool_by)]
    params += [("include", name) for name in options.include]
    if "top" in options.include:
        params.append(("top_k", str(options.top_k)))
    if options.origin is not None:
        params.append(("origin", options.origin.model_dump_json(exclude_defaults=True)))
    if options.strict:
        params.append(("strict", "true"))
    return params


def _adapter_path(model: str, name: str) -> str:
    return f"/v1/models/{quote(model)}/adapters/{quote(name, safe='@')}"


def _within(timeout: float | None) -> float | None:
    """Return how long a request may take for a caller who waits so long, with time for the way there and back."""
    return None if timeout is None else max(0.0, timeout) + _WAY


def _job_path(job_id: str) -> str:
    return f"/v1/jobs/{quote(job_id, safe='')}"
