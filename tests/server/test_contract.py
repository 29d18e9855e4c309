"""The API against its own OpenAPI document, with requests that schemathesis makes up."""

from __future__ import annotations

import httpx
import pytest
import schemathesis
from api_server import project, serving
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance, status_code_conformance

pytestmark = pytest.mark.service

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
OPERATIONS = [
    "GET /healthz", "GET /readyz", "GET /metrics", "GET /v1/models", "POST /v1/chat/completions", "POST /v1/embeddings",
    "POST /search", "POST /ask", "POST /documents", "GET /documents/{document_id}", "DELETE /documents/{document_id}",
    "GET /runs", "GET /runs/{number}",
]  # fmt: skip
ASKS_NOTHING = ("GET /healthz", "GET /readyz", "GET /metrics", "GET /v1/models")
"""What nothing can be wrong about."""


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    more = {"serve": {"requests_per_minute": 0, "max_body_mb": 1}}
    with serving(project(tmp_path_factory.mktemp("project"), **more)) as (address, _):
        yield address


@pytest.fixture(scope="module")
def document(address):
    return httpx.get(f"{address}/openapi.json").json()


def test_the_document_has_these_operations(document):
    found = [f"{method.upper()} {path}" for path, operations in document["paths"].items() for method in operations]
    assert sorted(found) == sorted(OPERATIONS)


@pytest.mark.parametrize(
    ("operation", "mode"),
    [(operation, GenerationMode.POSITIVE) for operation in OPERATIONS]
    + [(operation, GenerationMode.NEGATIVE) for operation in OPERATIONS if operation not in ASKS_NOTHING],
)
def test_every_operation_does_what_the_document_says(address, operation, mode):
    method, path = operation.split()
    schema = schemathesis.openapi.from_url(f"{address}/openapi.json")

    @given(case=schema[path][method].as_strategy(generation_mode=mode))
    @settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None)
    def asked(case):
        case.call_and_validate(checks=CHECKS)

    asked()


def test_the_document_names_the_key_and_every_refusal(document):
    assert document["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
    for path, operations in document["paths"].items():
        for operation in operations.values():
            if path not in ("/healthz", "/readyz"):
                assert {"401", "403", "429", "503"} <= set(operation["responses"]), path
