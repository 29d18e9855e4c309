"""The test server and the plugin keep to Qdrant's REST API: whatever strays from its OpenAPI description is noticed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openapi import Contract, specs_folder
from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import UnexpectedResponse
from qdrant_server import QdrantServer

JSON = {"Content-Type": "application/json"}
ONE = {"id": "5c56c793-69f3-4fbf-87e6-c4bf54c28c26", "vector": [1.0, 0.5], "payload": {"a": None}}


@pytest.fixture(scope="module")
def folder() -> Path:
    found = specs_folder()
    if found is None:
        pytest.skip("evaluation data: the folder of OpenAPI descriptions is not there; name its folder in RAGKIT_SPECS")
    return found


@pytest.fixture
def contract(folder: Path) -> Contract:
    return Contract(folder / "qdrant" / "openapi.json")


@pytest.fixture
def server(folder: Path) -> Iterator[QdrantServer]:
    with QdrantServer() as server:
        yield server


@pytest.mark.parametrize(
    ("method", "path", "query", "body", "problem"),
    [
        ("PUT", "/collections/x", "", {"vectors": {"size": 4, "distance": "Dot"}, "hnsw_confg": {"m": 3}}, "'hnsw_confg' was"),
        ("PUT", "/collections/x", "", {"vectors": {"size": 4, "distance": "dot"}}, "vectors"),
        ("PUT", "/collections/x", "", {"vectors": {"size": 4, "distance": "Dot"}, "hnsw_config": {"m": "3"}}, "hnsw_config"),
        ("PUT", "/collections/x/points", "wait=perhaps", {"points": [ONE]}, "query wait"),
        ("PUT", "/collections/x/points", "wat=true", {"points": [ONE]}, "unknown query parameter wat"),
        ("PUT", "/collections/x/points", "", {"points": [{**ONE, "id": "page 7"}]}, "points"),
        ("PUT", "/collections/x/points", "", {"points": [{**ONE, "id": -1}]}, "points"),
        ("POST", "/collections/x/points/query", "", {"filter": {"must": [{"key": "a", "macth": {"value": 1}}]}}, "filter"),
        ("POST", "/collections/x/points/query", "", {"limit": 0}, "limit"),
        ("POST", "/collections/x/points/find", "", {}, "no such operation"),
        ("DELETE", "/collections/x", "", {"force": True}, "a body where none"),
    ],
)
def test_a_request_that_strays_is_noticed(
    contract: Contract, method: str, path: str, query: str, body: Any, problem: str
) -> None:
    contract.request(method, path, query, JSON, json.dumps(body).encode())
    (violation,) = contract.violations
    assert problem in violation
    assert violation.startswith(f"{method} {path}")


@pytest.mark.parametrize(
    ("body", "headers", "status", "problem"),
    [
        ({"result": {"points": [{"id": 1, "version": 0}]}}, JSON, 200, "result"),
        ({"result": {"points": [{"id": 1, "version": 0, "score": "high"}]}}, JSON, 200, "result"),
        ({"result": {"points": []}, "status": "ok", "time": "now"}, JSON, 200, "time"),
        ({"result": {"points": []}, "extra": 1}, JSON, 200, "'extra' was unexpected"),
        ({"status": "error"}, JSON, 404, "status"),
        ({"result": {"points": []}}, {"Content-Type": "text/html"}, 200, "content of type text/html"),
    ],
)
def test_a_response_that_strays_is_noticed(contract: Contract, body: Any, headers: Any, status: int, problem: str) -> None:
    contract.response("POST", "/collections/x/points/query", status, headers, json.dumps(body).encode())
    (violation,) = contract.violations
    assert problem in violation


def test_what_is_right_is_no_violation(contract: Contract) -> None:
    body = {"vectors": {"size": 4, "distance": "Cosine"}, "quantization_config": {"scalar": {"type": "int8"}}, "metadata": None}
    contract.request("PUT", "/collections/x", "timeout=10", JSON, json.dumps(body).encode())
    contract.request("PUT", "/collections/x/points", "wait=true", JSON, json.dumps({"points": [ONE]}).encode())
    contract.request("GET", "/collections/a%20b", "", {}, b"")
    contract.response("GET", "/collections/x", 404, JSON, b'{"status": {"error": "not found"}, "time": 0.1}')
    assert contract.violations == []


def test_other_properties_are_let_pass_where_asked_for(folder: Path) -> None:
    contract = Contract(folder / "qdrant" / "openapi.json", closed=False)
    contract.request("PUT", "/collections/x", "", JSON, b'{"vectors": {"size": 4, "distance": "Dot"}, "other": 1}')
    assert contract.violations == []


def test_a_client_that_strays_is_noticed_by_the_server(server: QdrantServer) -> None:
    """A drift would be caught: what the client sends and what the server says pass through the contract."""
    client = QdrantClient(url=server.url, check_compatibility=False)
    client.create_collection("x", vectors_config=models.VectorParams(size=2, distance=models.Distance.DOT))
    client.upsert("x", points=[models.PointStruct(id=1, vector=[1.0, 2.0])])
    assert server.violations == []
    send = client.http.client.request

    def misspelt(**given: Any) -> Any:
        if "content" in given:
            given["content"] = str(given["content"]).replace('"limit"', '"limt"')
        return send(**given)

    client.http.client.request = misspelt  # type: ignore[method-assign]
    with pytest.raises(UnexpectedResponse):
        client.query_points("x", query=[1.0, 2.0], limit=3)
    client.close()
    assert len(server.violations) == 1
    assert "'limt' was unexpected" in server.violations[0]


def test_a_server_that_strays_is_noticed(server: QdrantServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server._collections, "carry_out", lambda method, path, body: {"exists": "certainly"})
    client = QdrantClient(url=server.url, check_compatibility=False)
    with pytest.raises(Exception, match="exists"):
        client.collection_exists("x")
    client.close()
    assert [violation.partition(":")[0] for violation in server.violations] == ["GET /collections/x/exists -> 200"]


def test_the_server_works_without_descriptions(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RAGKIT_SPECS", str(tmp_path / "none"))
    assert specs_folder() is None
    with QdrantServer() as server:
        client = QdrantClient(url=server.url, check_compatibility=False)
        client.create_collection("x", vectors_config=models.VectorParams(size=2, distance=models.Distance.DOT))
        assert client.get_collection("x").points_count == 0
        client.close()
        assert (server.contract, server.violations) == (None, [])
