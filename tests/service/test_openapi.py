"""The OpenAPI document is complete, and `docs/api.md` says what it says."""

from __future__ import annotations

import re
from pathlib import Path

from tokenreward_service.app import create_app
from tokenreward_service.http.schema_descriptions import split_docstring
from tokenreward_service.settings import ServiceSettings
from tokenreward_service.tools import api_docs

DOCUMENT = create_app(ServiceSettings(), "redis://").openapi()
OPERATIONS = [
    (method, path, operation) for path, found in DOCUMENT["paths"].items() for method, operation in found.items()
]

#: Interfaces of other servers, whose clients read errors in those servers' shapes.
WIRES = ("/v1/completions", "/inference/v1/generate", "/generate")


def test_the_page_in_docs_is_the_document() -> None:
    page = Path(__file__).parents[2] / "docs" / "api.md"
    assert page.read_text("utf-8") == api_docs.render(), "python -m tokenreward_service.tools.api_docs > docs/api.md"


def test_every_reference_leads_somewhere() -> None:
    for name in re.findall(r"#/components/schemas/(\w+)", str(DOCUMENT)):
        assert name in DOCUMENT["components"]["schemas"]


def test_each_field_of_a_shape_carries_its_own_text() -> None:
    shapes = DOCUMENT["components"]["schemas"]
    assert [name for name, shape in shapes.items() if "Attributes:" in shape.get("description", "")] == []
    for name in ("Estimate", "Item", "Job", "JobRequest", "Problem", "Provenance", "WorkerRecord"):
        assert [field for field, kind in shapes[name]["properties"].items() if not kind.get("description")] == [], name


def test_every_error_is_a_problem_with_an_example_or_of_its_wires_own_shape() -> None:
    for method, path, operation in OPERATIONS:
        for status, response in operation["responses"].items():
            if int(status) >= 400 and path in WIRES:
                assert response["content"].keys() == {"application/json"}, (method, path, status)
            elif int(status) >= 400:
                assert response["content"].keys() == {"application/problem+json"}, (method, path, status)
                assert response["content"]["application/problem+json"]["example"]["status"] == int(status)


def test_every_operation_says_what_it_does_and_every_body_has_an_example() -> None:
    for method, path, operation in OPERATIONS:
        assert operation["description"], (method, path)
        for content in operation.get("requestBody", {}).get("content", {}).values():
            assert content["example"], (method, path)


def test_whatever_is_under_v1_asks_for_a_key() -> None:
    for method, path, operation in OPERATIONS:
        asks = path.startswith("/v1") or path == "/metrics" or path in WIRES
        assert bool(operation.get("security")) == asks, (method, path)
        assert ("401" in operation["responses"]) == bool(operation.get("security")), (method, path)


def test_a_docstring_is_split_into_its_text_and_the_texts_of_its_attributes() -> None:
    attributes = "Attributes:\n    one: The first: of two\n        lines.\n    two: Short."
    text, fields = split_docstring(f"A thing.\n\nMore of it.\n\n{attributes}\n\nThe end.")
    assert text == "A thing.\n\nMore of it.\n\nThe end."
    assert fields == {"one": "The first: of two lines.", "two": "Short."}
