"""Qdrant on a server: its faults, what the options ask of it, and that all of it is Qdrant's REST API."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from llama_index.core import MockEmbedding, VectorStoreIndex
from llama_index.vector_stores.qdrant import QdrantVectorStore
from projects import Project
from pydantic import ValidationError
from qdrant_client import models
from qdrant_server import Fault, QdrantServer

import ragkit_qdrant
from ragkit.components import Kind, Spec
from ragkit.errors import ComponentError, RagkitError
from ragkit.filters import matches
from ragkit.testing import build_context
from ragkit.testing.conformance.filtering import equal, one, several
from ragkit.testing.conformance.stores import chunk, uid, uids, vector_of

QDRANT, _ = ragkit_qdrant.ragkit_vector_stores()
KEY = "a-secret-key"
POINTS = "PUT /collections/handbook/points"


@pytest.fixture
def server() -> Iterator[QdrantServer]:
    """A server with a key; whatever passes has to be Qdrant's API."""
    with QdrantServer(key=KEY) as server:
        yield server
        assert server.violations == []


Open = Callable[..., Any]


@pytest.fixture
def connect(server: QdrantServer, tmp_path: Path) -> Iterator[Open]:
    """Opens stores on the server, which are closed at the end."""
    opened = []

    def connect(collection: str = "handbook", **options: Any) -> Any:
        given = {"url": server.url, "api_key": KEY, "timeout": 2, **options}
        store = QDRANT.build(QDRANT.options.model_validate(given), build_context(tmp_path, collection=collection))
        opened.append(store)
        return store

    yield connect
    for store in opened:
        store.close()


def ask(store: Any, text: str = "red", k: int = 10, **fields: Any) -> list[str]:
    from llama_index.core.vector_stores.types import VectorStoreQuery

    ids: list[str] = store.search_ids(VectorStoreQuery(query_embedding=vector_of(text), similarity_top_k=k, **fields))[0]
    return ids


def told(error: pytest.ExceptionInfo[RagkitError], *parts: str) -> None:
    """What every error has to say: the store, the address, and what to do; and never the key."""
    text = f"{error.value} {error.value.cure}"
    assert "qdrant" in text
    assert error.value.cure
    assert KEY not in text
    assert [part for part in parts if part not in text] == []


# Faults


def test_a_server_that_does_not_run(connect: Open) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    store = connect(url=url, timeout=1)
    for call in (lambda: store.upsert([chunk("a")]), lambda: ask(store), store.count, store.marker, lambda: list(store.ids())):
        with pytest.raises(ComponentError, match="does not answer") as error:
            call()
        told(error, url, "start the server")


def test_a_server_that_says_nothing(server: QdrantServer, connect: Open) -> None:
    store = connect(timeout=1)
    store.upsert([chunk("a")])
    server.faults = [Fault(silent_s=60, times=9)]
    with pytest.raises(ComponentError, match="nothing came within 1 s") as error:
        ask(store)
    told(error, server.url, "`timeout`")


def test_a_batch_that_is_cut_is_sent_again(server: QdrantServer, connect: Open) -> None:
    store = connect()
    server.faults = [Fault(only=POINTS), Fault(only=POINTS, applied=True)]
    store.upsert([chunk("a", "red"), chunk("b", "red")])
    assert (store.count(), sorted(ask(store)), [fault.times for fault in server.faults]) == (2, uids("ab"), [0, 0])


def test_a_batch_that_is_cut_in_the_middle_is_an_error_and_can_be_repeated(server: QdrantServer, connect: Open) -> None:
    store = connect(timeout=1)
    nodes = [chunk(f"{i}", vector=[1.0, float(i)]) for i in range(2_500)]
    server.faults = [Fault(only=POINTS, skip=1, times=99)]
    with pytest.raises(ComponentError, match="does not answer") as error:
        store.upsert(nodes)
    told(error, server.url, "run again")
    assert store.count() == 1_000
    server.faults = []
    store.upsert(nodes)
    assert store.count() == 2_500


@pytest.mark.parametrize(("key", "status"), [(None, 401), ("another-key", 403)])
def test_a_wrong_key(server: QdrantServer, connect: Open, key: str | None, status: int) -> None:
    store = connect(api_key=key)
    for call in (lambda: store.upsert([chunk("a")]), lambda: ask(store), store.count, lambda: store.mark({"a": "b"})):
        with pytest.raises(ComponentError, match=f"HTTP {status}") as error:
            call()
        told(error, server.url, "`api_key`")
        assert "another-key" not in str(error.value)


@pytest.mark.parametrize("headers", [{}, {"Retry-After": "1"}, {"Retry-After": "Sat, 21 Nov 2026 07:28:00 GMT"}])
def test_a_quota_that_is_exceeded_for_a_while(server: QdrantServer, connect: Open, headers: dict[str, str]) -> None:
    store = connect(timeout=5)
    server.faults = [Fault(429, only=POINTS, headers=headers)]
    store.upsert([chunk("a")])
    assert (store.count(), server.faults[0].times) == (1, 0)


@pytest.mark.parametrize(("headers", "tried"), [({}, 2), ({"Retry-After": "3600"}, 1)])
def test_a_quota_that_stays_exceeded(server: QdrantServer, connect: Open, headers: dict[str, str], tried: int) -> None:
    store = connect(timeout=1)
    server.faults = [Fault(429, only=POINTS, headers=headers, times=99)]
    with pytest.raises(ComponentError, match="quota") as error:
        store.upsert([chunk("a")])
    told(error, server.url, "HTTP 429")
    assert (99 - server.faults[0].times >= tried) if tried > 1 else (server.faults[0].times == 98)


@pytest.mark.parametrize("status", [500, 502, 503])
def test_a_server_that_fails(server: QdrantServer, connect: Open, status: int) -> None:
    store = connect(timeout=1)
    server.faults = [Fault(status, only=POINTS)]
    store.upsert([chunk("a")])
    server.faults = [Fault(status, only="/query", times=99)]
    with pytest.raises(ComponentError, match=f"HTTP {status}") as error:
        ask(store)
    told(error, server.url, "the server's words")


def test_a_record_that_is_too_large(server: QdrantServer, connect: Open) -> None:
    store = connect(store_text=True)
    with pytest.raises(ComponentError, match="HTTP 413") as error:
        store.upsert([chunk("a", "x" * 33 * 2**20)])
    told(error, server.url, "smaller")
    store.upsert([chunk(f"{i}", "x" * 2**20) for i in range(40)])
    assert store.count() == 40


def test_a_collection_deleted_behind_ragkits_back(server: QdrantServer, connect: Open) -> None:
    store = connect()
    store.upsert([chunk("a")])
    store.mark({"ragkit_state": "mine"})
    connect().drop()
    for call in (lambda: store.upsert([chunk("b")]), lambda: ask(store), lambda: store.vectors(uids("a"))):
        with pytest.raises(ComponentError, match="does not have the collection any more") as error:
            call()
        told(error, server.url, "ragkit views repair")
    assert (store.count(), store.marker()) == (0, None)
    assert server.sent("PUT", "/handbook") != []


@pytest.mark.parametrize(
    "vectors",
    [
        models.VectorParams(size=64, distance=models.Distance.MANHATTAN),
        models.VectorParams(size=64, distance=models.Distance.DOT),
        {"named": models.VectorParams(size=64, distance=models.Distance.COSINE)},
    ],
)
def test_a_collection_of_another_kind(connect: Open, vectors: Any) -> None:
    store = connect()
    store.client.create_collection("handbook", vectors_config=vectors)
    for call in (lambda: ask(store), lambda: store.upsert([chunk("a")]), store.marker):
        with pytest.raises(ComponentError, match="not hold plain vectors under 'cosine'") as error:
            call()
        told(error, "handbook", "move it away")


@pytest.mark.parametrize("name", ["a/b", "a:b", "", "x" * 256, ".."])
def test_a_name_that_qdrant_refuses(connect: Open, name: str) -> None:
    with pytest.raises(ComponentError, match="no name of a collection") as error:
        connect(name)
    told(error)


def test_something_else_answers(server: QdrantServer, connect: Open) -> None:
    store = connect()
    for fault in (Fault(200), Fault(307, headers={"Location": "https://elsewhere"})):
        server.faults = [fault]
        with pytest.raises(ComponentError) as error:
            ask(store)
        told(error, server.url, "correct `url`")
    assert server.contract is None or len(server.violations) == 1  # no such answer is in Qdrant's API
    if server.contract is not None:
        server.contract.violations.clear()


@pytest.mark.parametrize("vector", [[1.0, float("nan")], [float("inf"), 0.0]])
def test_a_vector_that_is_none(connect: Open, vector: list[float]) -> None:
    store = connect()
    with pytest.raises(ComponentError, match="NaN or infinity") as error:
        store.upsert([chunk("a", vector=vector)])
    told(error)
    assert store.count() == 0


def test_ids_that_are_no_uuids(connect: Open) -> None:
    store = connect()
    node = chunk("a")
    store.upsert([node])
    node.id_ = "page 7"
    with pytest.raises(ComponentError, match="'page 7' is no UUID") as error:
        store.upsert([node])
    told(error)
    store.delete_nodes(["page 7"])
    assert (dict(store.vectors(["page 7"])), ask(store, node_ids=["page 7"]), store.count()) == ({}, [], 1)


# What the options ask of the server


def test_the_options_reach_the_server(server: QdrantServer, connect: Open) -> None:
    store = connect(metric="dot", m=24, ef_construct=222, ef_search=50, shards=3, replication_factor=2, quantization="scalar")
    store.upsert([chunk("a"), chunk("b")])
    (made,) = server.sent("PUT", "/handbook")
    assert made["vectors"] == {"size": 64, "distance": "Dot"}
    assert made["hnsw_config"] == {"m": 24, "ef_construct": 222}
    assert (made["shard_number"], made["replication_factor"]) == (3, 2)
    assert made["quantization_config"] == {"scalar": {"type": "int8"}}
    assert {request.query.partition("&")[0] for request in server.requests if request.path.endswith("/points")} == {"wait=true"}
    ask(store, k=10)
    ask(store, k=600)
    params = [body["params"] for body in server.sent("POST", "/query") if not body["params"].get("exact")]
    assert [param["hnsw_ef"] for param in params] == [50, 601]
    assert {param["quantization"]["rescore"] for param in params} == {True}


@pytest.mark.parametrize(
    ("kind", "sent"),
    [("none", None), ("scalar", {"scalar": {"type": "int8"}}), ("binary", {"binary": {}})],
)
def test_quantization(server: QdrantServer, connect: Open, kind: str, sent: Any) -> None:
    connect(quantization=kind).upsert([chunk("a")])
    assert server.sent("PUT", "/handbook")[0].get("quantization_config") == sent


def test_payload_indexes_are_made_with_the_next_write(server: QdrantServer, connect: Open) -> None:
    connect(payload_indexes={"year": "integer"}).upsert([chunk("a")])
    made = {body["field_name"]: body["field_schema"] for body in server.sent("PUT", "/index")}
    assert made == {"document": "keyword", 'metadata."year"': "float", 'lists."year"': "float"}
    more = {"year": "float", "a.b": "keyword", "when": "date", "draft": "bool"}
    ask(connect(payload_indexes=more))
    assert len(server.sent("PUT", "/index")) == 3
    for _ in range(2):
        connect(payload_indexes=more).upsert([chunk("b")])
    added = {body["field_name"]: body["field_schema"] for body in server.sent("PUT", "/index")[3:]}
    assert added == {
        'metadata."a.b"': "keyword", 'lists."a.b"': "keyword", 'metadata."draft"': "bool", 'lists."draft"': "bool",
        'moments."when"': "float",
    }  # fmt: skip


def test_options_of_a_server_need_one() -> None:
    check = QDRANT.options.model_validate
    for options in ({"shards": 2}, {"api_key": "x"}, {"quantization": "binary"}, {"payload_indexes": {"a": "keyword"}}, {"m": 9}):
        with pytest.raises(ValidationError, match="needs 'url'"):
            check(options)
    for url in ("localhost:6333", "http://user:password@host", "http://host:x", "ftp://host", "http://host?key=x", ""):
        with pytest.raises(ValidationError, match="must be like"):
            check({"url": url})
    for url in ("http://localhost:6333", "https://x.cloud.qdrant.io:6333", "http://[::1]:6333/prefix"):
        check({"url": url})
    with pytest.raises(ValidationError, match="no key that Qdrant can index"):
        check({"url": "http://x", "payload_indexes": {'a"b': "keyword"}})
    with pytest.raises(ValidationError, match="what HTTP carries"):
        check({"url": "http://x", "api_key": "two words"})


def test_a_server_is_another_index_than_a_folder() -> None:
    def spec(**options: Any) -> Spec:
        return Spec(Kind.VECTOR_STORE, QDRANT, QDRANT.options.model_validate(options))

    folder, server = spec(), spec(url="http://one")
    assert (folder.capabilities["processes"], server.capabilities["processes"]) == ("one", "server")
    assert folder.identity() != server.identity()
    assert server.identity() == spec(url="http://two", api_key="k", ef_search=9, timeout=9).identity()
    assert server.identity() != spec(url="http://one", shards=2).identity()


def test_the_key_is_nowhere_to_be_seen(connect: Open) -> None:
    store = connect()
    assert KEY not in f"{store!r} {store} {store.model_dump()} {store.to_json()} {store._options!r}"


# Marks


def test_a_mark_before_the_first_chunk_stays(server: QdrantServer, connect: Open) -> None:
    store = connect()
    store.mark({"ragkit_state": "mine", "ragkit_applied": "0"})
    assert (connect().marker(), connect().count(), ask(connect())) == ({"ragkit_state": "mine", "ragkit_applied": "0"}, 0, [])
    store.upsert([chunk("a")])
    assert connect().marker() == {"ragkit_state": "mine", "ragkit_applied": "0"}
    store.mark({"ragkit_state": "mine"})
    assert connect().marker() == {"ragkit_state": "mine"}


def test_a_server_that_keeps_no_metadata_is_too_old(server: QdrantServer, connect: Open, monkeypatch: Any) -> None:
    store = connect()
    store.upsert([chunk("a")])
    monkeypatch.setattr(server._collections._client, "update_collection", lambda *given, **more: True)
    with pytest.raises(ComponentError, match="cannot mark it as its own") as error:
        store.mark({"ragkit_state": "mine"})
    told(error, server.url, "1.16")


# Filters


def test_what_the_server_evaluates_and_what_not(server: QdrantServer, connect: Open) -> None:
    store = connect()
    store.upsert([chunk(f"{i}", metadata={"year": 2000 + i, "tags": ["x"], "title": f"page {i}"}) for i in range(20)])
    for filters, native in (
        (equal("year", 2007), True),
        (several("and", one("year", ">=", 2007), several("not", one("tags", "any", ["y"]))), True),
        (several("and", one("title", "is_empty", None)), True),
        (several("and", one("title", "contains", "page 7")), False),
        (several("and", one("title", ">", "page 7")), False),
        (equal('quote"s', "x"), False),
    ):
        assert store.evaluates(filters) is native
        server.requests.clear()
        expected = [f"{i}" for i in range(20) if matches(filters, {"year": 2000 + i, "tags": ["x"], "title": f"page {i}"})]
        assert sorted(ask(store, k=30, filters=filters)) == uids(expected)
        assert {body["with_payload"] for body in server.sent("POST", "/query")} == {not native}


def test_dates_are_narrowed_down_by_the_server(server: QdrantServer, connect: Open) -> None:
    store = connect()
    days = {"a": "2024-05-01", "b": "2024-05-01T23:30:00-02:00", "c": date(2024, 6, 1), "d": "soon", "e": 7, "f": None}
    store.upsert([chunk(name, metadata={"when": day}) for name, day in days.items()])
    server.requests.clear()
    assert sorted(ask(store, filters=several("and", one("when", ">", "2024-05-02")))) == uids("bcd")
    assert sorted(ask(store, filters=several("and", one("when", "<", "2024-05-02")))) == uids("a")
    ranges = [body["filter"]["must"][0]["should"][0]["range"] for body in server.sent("POST", "/query")]
    assert {tuple(given) for given in ranges} <= {("gte",), ("lte",)}
    assert ranges != []


# LlamaIndex and the host


def test_it_is_llamaindexs_store(connect: Open) -> None:
    store = connect(store_text=True)
    assert isinstance(store, QdrantVectorStore)
    store.upsert([chunk("a", "red", document="first"), chunk("b", "blue", document="second")])
    index = VectorStoreIndex.from_vector_store(store, embed_model=MockEmbedding(64))
    (hit, _) = index.as_retriever(similarity_top_k=2).retrieve("anything")
    assert hit.node.ref_doc_id in ("first", "second")
    assert {node.get_content() for node in store.get_nodes(filters=several("and"))} == {"red", "blue"}
    store.delete("first")
    assert [node.node_id for node in store.get_nodes()] == [uid("b")]
    store.clear()
    assert store.count() == 0


def test_a_pipeline_over_a_server(server: QdrantServer, tmp_path: Path) -> None:
    more = f"vector_store: {{use: qdrant, url: '{server.url}', api_key: {KEY}, payload_indexes: {{uri: keyword}}}}"
    project = Project(tmp_path / "project", more=more)
    project.write("a.md", "# Rivers\n\nThe Elbe is long.\n")
    project.write("b.md", "# Hills\n\nThe Brocken is high.\n")
    project.ingest()
    with project.open() as one, project.open() as other:
        assert "Elbe" in one.search("The Elbe is long.", k=1).hits[0].text
        project.write("a.md", "# Rivers\n\nThe Rhine is longer.\n")
        other.ingest()
        assert "Rhine" in one.search("The Rhine is longer.", k=1).hits[0].text
    (made,) = {request.path for request in server.requests if request.method == "PUT" and request.path.count("/") == 2}
    given = QDRANT.options.model_validate({"url": server.url, "api_key": KEY})
    store = QDRANT.build(given, build_context(tmp_path, collection=made.rpartition("/")[2]))
    store.drop()
    store.close()
    with project.open() as pipeline, pytest.raises(RagkitError, match="drifted"):
        pipeline.search("Elbe")
