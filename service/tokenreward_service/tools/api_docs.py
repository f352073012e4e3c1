"""`docs/api.md` from the OpenAPI document:  python -m tokenreward_service.tools.api_docs > docs/api.md"""

from __future__ import annotations

import json
import sys
from typing import Any

from tokenreward_service.app import create_app
from tokenreward_service.settings import ServiceSettings

_HEAD = """# HTTP API, version 1

Use this page to look up an endpoint, its parameters and its answers. It is written from the service's OpenAPI
document by `python -m tokenreward_service.tools.api_docs`, and a test checks that it is up to date. A running service
has the same document at `GET /openapi.json`, and shows it at `/docs`.

**Requests**

- **Keys.** If keys are in use, send `Authorization: Bearer trk_...`; see [security.md](security.md).
- **Compression.** Bodies may be compressed with `Content-Encoding: gzip` or `zstd`. Limits count the expanded bytes.
- **Repeats.** Send an `Idempotency-Key` with `POST /v1/jobs`, and the same request twice makes one job, for as long
  as the job is kept.
- **Options.** The query parameters of `POST /v1/jobs` go with NDJSON. A JSON body holds the options itself. Both
  together are a 422.
- **Request ids.** Every answer has an `X-Request-ID`, which is also in the log. If you send one, it is used.

**Errors**

- Errors are `application/problem+json` (RFC 9457): `title`, `status`, `detail`, and `errors` with a JSON pointer
  each.
- The teacher wires (`/v1/completions`, `/inference/v1/generate`, `/generate`) answer errors in the shapes of the
  servers whose interfaces they have. [integrations.md](integrations.md) says which trainers use them.
- Any request can get 421 if `Host` is not a name that the service answers to (`TOKENREWARD_ALLOWED_HOSTS`), 403 if it
  comes from a page of another origin, and 500 for a mistake of ours. The log entry of a 500 has the `X-Request-ID`.
- 429 and 503 carry `Retry-After`. Nothing of such a request was accepted, with one exception: behind Sentinels, a
  `POST /v1/jobs` with an `Idempotency-Key` can get 503 although its job was published, because a replica has not
  confirmed it or the store went away. The job is kept, and the same key finds it.
"""


def render() -> str:
    """The whole page, as Markdown."""
    document = create_app(ServiceSettings(), "redis://").openapi()
    parts = [_HEAD]
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            parts.append(_operation(method.upper(), path, operation))
    parts.append("# Shapes\n")
    parts += [_shape(name, schema) for name, schema in sorted(document["components"]["schemas"].items()) if schema]
    return "\n".join(parts)


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    lines = [f"## `{method} {path}`\n", operation.get("description", "") + "\n"]
    if parameters := operation.get("parameters"):
        lines += ["| parameter | in | type | |", "|---|---|---|---|"]
        for parameter in parameters:
            need = "required" if parameter.get("required") else parameter.get("description", "")
            kind = _type(parameter["schema"])
            lines.append(f"| `{parameter['name']}` | {parameter['in']} | {_cell(kind)} | {_cell(need)} |")
        lines.append("")
    for media, body in operation.get("requestBody", {}).get("content", {}).items():
        if "example" in body:
            lines += [f"Body, `{media}`:\n", _block(body["example"])]
    lines += ["| status | |", "|---|---|"]
    lines += [f"| {status} | {_cell(_answer(answer))} |" for status, answer in operation["responses"].items()]
    return "\n".join(lines) + "\n"


def _answer(response: dict[str, Any]) -> str:
    kinds = [
        f"`{media}`" + (f" {_type(content['schema'])}" if "$ref" in content.get("schema", {}) else "")
        for media, content in response.get("content", {}).items()
        if media != "application/problem+json"
    ]
    return " ".join([response["description"], *kinds])


def _shape(name: str, schema: dict[str, Any]) -> str:
    lines = [f"## {name}\n"]
    if "description" in schema:
        lines.append(schema["description"] + "\n")
    if "enum" in schema:
        lines.append("One of: " + ", ".join(f"`{value}`" for value in schema["enum"]) + "\n")
    if properties := schema.get("properties"):
        required = schema.get("required", [])
        lines += ["| field | type | default | |", "|---|---|---|---|"]
        for field, kind in properties.items():
            default = "required" if field in required else f"`{json.dumps(kind.get('default'))}`"
            lines.append(f"| `{field}` | {_cell(_type(kind))} | {default} | {_cell(kind.get('description', ''))} |")
        lines.append("")
    return "\n".join(lines)


def _type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[-1]
        if name == "JsonValue":
            return "JSON"
        return f"[{name}](#{name.lower()})"
    if kinds := schema.get("anyOf") or schema.get("oneOf"):
        return " or ".join(_type(part) for part in kinds)
    if "enum" in schema or "const" in schema:
        return ", ".join(f"`{value}`" for value in schema.get("enum", [schema.get("const")]))
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    if isinstance(schema.get("additionalProperties"), dict):
        return f"object of {_type(schema['additionalProperties'])}"
    return str(schema.get("type", "any"))


def _block(example: Any) -> str:
    text = example.rstrip("\n") if isinstance(example, str) else json.dumps(example, indent=2)
    return f"```json\n{text}\n```\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    sys.stdout.write(render())
