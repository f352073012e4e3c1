"""Descriptions of the OpenAPI document's schemas, taken from the docstrings of their models.

A docstring has a text and, in a section `Attributes:`, a text for each field. In the document each field carries its
own.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any


def describe(schemas: Mapping[str, dict[str, Any]], inherited: Mapping[str, type]) -> None:
    """Move the texts of fields from the descriptions of schemas to their properties.

    Args:
        schemas: Name -> schema, as pydantic makes it. The schemas are changed in place.
        inherited: Name of a schema -> the base class whose docstring has the texts of the fields that it inherits.
    """
    for name, schema in schemas.items():
        text, fields = split_docstring(schema.get("description", ""))
        if base := inherited.get(name):
            fields = split_docstring(inspect.getdoc(base) or "")[1] | fields
        if text:
            schema["description"] = text
        for field, described in schema.get("properties", {}).items():
            if field in fields:
                described.setdefault("description", fields[field])


def split_docstring(docstring: str) -> tuple[str, dict[str, str]]:
    """Split a cleaned Google-style docstring.

    Returns:
        The docstring without its section `Attributes:`, and the text of each attribute on one line.
    """
    kept: list[str] = []
    fields: dict[str, str] = {}
    name = ""
    inside = False
    for line in docstring.splitlines():
        if line == "Attributes:":
            inside = True
        elif not inside or (line and not line.startswith(" ")):
            inside = False
            kept.append(line)
        elif line.startswith(" " * 5):
            fields[name] += " " + line.strip()
        elif line.strip():
            name, _, text = line.strip().partition(": ")
            fields[name] = text
    return "\n".join(kept).strip(), fields
