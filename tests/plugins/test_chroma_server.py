"""The store `chroma` and its server: how it is found, what it must not be told, and everything that goes wrong between them."""

from __future__ import annotations

import dataclasses
import json
import socket
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import chromadb
import pytest
from chroma_server import chroma_server
from chromadb.config import Settings
from cutting_proxy import Answer, CuttingProxy, Gateway, Request
from projects import Project
from pydantic import ValidationError

import ragkit_chroma
from ragkit.components import Kind, Spec
from ragkit.components.component import Component
from ragkit.errors import ComponentError, DriftedError, OwnershipError
from ragkit.testing import build_context
from ragkit_chroma import ChromaOptions

pytestmark = pytest.mark.service

HOST = "127.0.0.1"
KEY = "ck-secret-0123456789"
COMPONENT: Component = ragkit_chroma.ragkit_vector_stores()[0]


@pytest.fixture(scope="session")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with chroma_server(tmp_path_factory.mktemp("chroma") / "data") as port:
        yield port


@pytest.fixture
def native(port: int) -> Iterator[Any]:
    """Chroma's own client of the server."""
    client: Any = chromadb.HttpClient(HOST, port, settings=Settings(anonymized_telemetry=False))
    yield client
    for api in (client, client._admin_client):  # its own `close` leaves connections open
        api._server._session.close()
    client.close()


@pytest.fixture
def proxy(port: int) -> Iterator[CuttingProxy]:
    with CuttingProxy(port) as proxy:
        yield proxy


@pytest.fixture
def gateway(port: int) -> Iterator[Gateway]:
    with Gateway(port) as gateway:
        yield gateway


@pytest.fixture
def opened(tmp_path: Path, port: int) -> Iterator[Callable[..., Any]]:
    """Open the test's own collection: `opened(port=…, timeout=…)`."""
    collection = f"ragkit-{uuid4().hex[:12]}"
    stores = []

    def make(**options: Any) -> Any:
        context = build_context(tmp_path, collection=options.pop("collection", collection))
        store = ragkit_chroma.build(ChromaOptions(**{"host": HOST, "port": port, **options}), context)
        stores.append(store)
        return store

    yield make
    for store in stores:
        store.close()


def refusing(status: int, *, times: int = 10**6, **headers: str) -> Callable[[Request], Answer | None]:
    """A gateway's rule: so many writes and searches get this status."""
    left = [times]

    def rule(request: Request) -> Answer | None:
        if not request.path.endswith(("/upsert", "/query")) or not left[0]:
            return None
        left[0] -= 1
        return Answer(status, headers={"Content-Type": "application/json", **headers})

    return rule


def asked(gateway: Gateway, end: str) -> list[Request]:
    return [request for request in gateway.requests if request.path.endswith(end)]


# Which server, and for how many processes


def test_a_server_takes_many_processes_and_is_another_index() -> None:
    spec = {
        name: Spec(Kind.VECTOR_STORE, COMPONENT, ChromaOptions.model_validate(options))
        for name, options in {
            "folder": {},
            "server": {"host": "a"},
            "other": {"host": "b", "port": 1},
            "cloud": {"api_key": "k"},
        }.items()
    }
    assert {name: one.capabilities["processes"] for name, one in spec.items()} == {
        "folder": "one", "server": "server", "other": "server", "cloud": "server",
    }  # fmt: skip
    assert spec["folder"].identity() != spec["server"].identity()
    assert spec["server"].identity() == spec["other"].identity()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"port": 8000}, "'port' needs 'host'"),
        ({"tenant": "t"}, "'tenant' needs 'host'"),
        ({"headers": {"a": "b"}}, "'headers' needs 'host'"),
        ({"api_key": "k", "port": 1}, "'port' and 'ssl' need 'host'"),
        ({"host": "http://localhost"}, "a name or an IP address alone"),
        ({"host": "user:word@localhost"}, "a name or an IP address alone"),
        ({"host": "localhost", "headers": {"a": "secret\n"}}, "what HTTP carries"),
        ({"api_key": "sécret"}, "what HTTP carries"),
        ({"host": "localhost", "timeout": 0}, "greater than 0"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(options: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told) as caught:
        ChromaOptions(**options)
    assert "cret" not in "".join(one["msg"] for one in caught.value.errors())


def test_headers_reach_the_server_and_no_message(gateway: Gateway, opened: Any, node: Any) -> None:
    def rule(request: Request) -> Answer | None:
        return None if request.headers.get("x-team") == KEY else Answer(401)

    gateway.rule = rule
    store = opened(port=gateway.port, headers={"X-Team": KEY})
    store.upsert([node("a")])
    assert store.count() == 1
    assert KEY not in repr(store) + str(ChromaOptions(host=HOST, headers={"X-Team": KEY}))
    with pytest.raises(ComponentError, match="HTTP 401") as caught:
        opened(port=gateway.port, headers={"X-Team": f"{KEY}-wrong"})
    assert KEY not in str(caught.value)
    assert "api_key" in caught.value.cure


def test_a_tenants_database_of_its_own(native: Any, opened: Any, node: Any) -> None:
    tenant = uuid4().hex
    native._admin_client.create_tenant(tenant)
    native._admin_client.create_database("own", tenant)
    there, here = opened(tenant=tenant, database="own"), opened()
    there.upsert([node("a")])
    assert (there.count(), here.count()) == (1, 0)
    with pytest.raises(ComponentError, match=r"does not exist(.|\n)*correct `tenant` and `database`"):
        opened(tenant=tenant, database="nowhere")


# Chroma Cloud, as far as a key, its limits and its address go


@pytest.fixture
def cloud(gateway: Gateway) -> Gateway:
    """A server that wants the key, says whose it is, and has Chroma Cloud's limits."""

    def rule(request: Request) -> Answer | None:
        if request.headers.get("x-chroma-token") != KEY:
            return Answer(401)
        if request.path.endswith("/auth/identity"):
            who = {"user_id": "u", "tenant": "default_tenant", "databases": ["default_database"]}
            return Answer(200, json.dumps(who).encode())
        asks: Mapping[str, Any] = json.loads(request.body) if request.body else {}
        limits = (len(asks.get("ids") or ()), asks.get("limit") or 0, asks.get("n_results") or 0)
        if max(limits) > 300 or json.dumps(asks.get("where")).count('"$in"') > 8:
            return Answer(400, b'{"error": "QuotaError", "message": "Quota exceeded: exceeded quota limit for action"}')
        return None

    gateway.rule = rule
    return gateway


def test_a_key_opens_its_own_tenant_and_stays_within_the_limits(cloud: Gateway, opened: Any, node: Any, ask: Any) -> None:
    from llama_index.core.vector_stores.types import FilterOperator, MetadataFilter, MetadataFilters

    store = opened(port=cloud.port, api_key=KEY)
    store.upsert([node(f"n{i:04}", vector=[1.0, float(i)], number=i) for i in range(1_000)])
    assert (store.count(), len(set(store.ids())), len(store.vectors(list(store.ids())))) == (1_000, 1_000, 1_000)
    assert len(store.search_ids(ask([1.0, 5.0], 250))[0]) == 250
    assert len(store.search_ids(ask([1.0, 5.0], 1_000))[0]) == 300
    many = MetadataFilters(
        condition="or", filters=[MetadataFilter(key="number", value=i, operator=FilterOperator.EQ) for i in range(10)]
    )
    assert not store.evaluates(many)
    assert store.evaluates(MetadataFilters(filters=many.filters[:1]))
    assert set(store.search_ids(ask([1.0, 0.0], 50, filters=many))[0]) == {f"n{i:04}" for i in range(10)}
    store.delete_nodes([f"n{i:04}" for i in range(999)])
    assert list(store.ids()) == ["n0999"]


def test_a_wrong_key_is_refused_and_not_shown(cloud: Gateway, opened: Any) -> None:
    with pytest.raises(ComponentError, match=r"does not know the key \(HTTP 401\)") as caught:
        opened(port=cloud.port, api_key="ck-another-secret")
    assert "ck-another-secret" not in str(caught.value) + repr(caught.value)
    assert cloud.requests[-1].headers["x-chroma-token"] == "ck-another-secret"


def test_a_key_of_several_databases_needs_the_name_of_one(gateway: Gateway, opened: Any) -> None:
    who = {"user_id": "u", "tenant": "default_tenant", "databases": ["one", "two"]}
    gateway.rule = lambda request: Answer(200, json.dumps(who).encode()) if request.path.endswith("identity") else None
    with pytest.raises(ComponentError, match="name `tenant` and `database`"):
        opened(port=gateway.port, api_key=KEY)
    assert opened(port=gateway.port, api_key=KEY, database="default_database").count() == 0


def test_a_record_over_the_quota_is_said_once(gateway: Gateway, opened: Any, node: Any) -> None:
    store = opened(port=gateway.port, api_key=KEY, tenant="default_tenant", database="default_database")
    words = b'{"error": "QuotaError", "message": "\'Metadata value size\' exceeded quota limit for action \'Upsert\'"}'
    gateway.rule = lambda request: Answer(429, words) if request.path.endswith("/upsert") else None
    with pytest.raises(ComponentError, match=r"Metadata value size(.|\n)*make chunks or their metadata smaller"):
        store.upsert([node("a")])
    assert len(asked(gateway, "/upsert")) == 1


def test_only_the_named_host_is_contacted(
    port: int, opened: Any, node: Any, ask: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contacted: set[tuple[Any, Any]] = set()
    resolve = socket.getaddrinfo

    def watched(host: Any, port: Any, *more: Any, **named: Any) -> Any:
        contacted.add((host.decode() if isinstance(host, bytes) else host, port))
        if host not in (HOST, HOST.encode()):
            raise socket.gaierror(-2, "Name or service not known")
        return resolve(host, port, *more, **named)

    monkeypatch.setattr(socket, "getaddrinfo", watched)
    store = opened()
    store.upsert([node("a")])
    store.search_ids(ask([1.0] * 16))
    store.close()
    assert contacted == {(HOST, port)}
    contacted.clear()
    with pytest.raises(ComponentError, match=r"https://api\.trychroma\.com:443 does not answer"):
        ragkit_chroma.build(ChromaOptions(api_key=KEY), build_context(tmp_path))
    assert contacted == {("api.trychroma.com", 443)}


# Faults


def test_a_server_that_does_not_run(opened: Any) -> None:
    with socket.create_server((HOST, 0)) as unused:
        free = unused.getsockname()[1]
    with pytest.raises(ComponentError, match=rf"Chroma at http://{HOST}:{free} does not answer(.|\n)*start the server"):
        opened(port=free, timeout=60)


def test_a_server_that_accepts_and_never_answers(proxy: CuttingProxy, opened: Any, node: Any, ask: Any) -> None:
    store = opened(port=proxy.port, timeout=0.5)
    store.upsert([node("a")])
    proxy.silent = True
    for call in (
        lambda: opened(port=proxy.port, timeout=0.5),
        lambda: store.upsert([node("b")]),
        lambda: store.search_ids(ask([1.0] * 16)),
        store.count,
        store.marker,
        store.drop,
    ):
        with pytest.raises(ComponentError, match=r"does not answer: nothing came within 0.5 s(.|\n)*`timeout`"):
            call()
    proxy.silent = False
    assert store.count() == 1


def test_a_connection_cut_in_a_batch_is_taken_up_again(proxy: CuttingProxy, opened: Any, node: Any) -> None:
    store = opened(port=proxy.port)
    proxy.cut(30_000, times=2)
    store.upsert([node(f"n{i}", f"text {i}", number=i) for i in range(2_000)])
    assert proxy.cuts == 2
    assert (store.count(), set(store.ids())) == (2_000, {f"n{i}" for i in range(2_000)})


def test_a_batch_that_is_cut_every_time_is_an_error_and_can_be_repeated(proxy: CuttingProxy, opened: Any, node: Any) -> None:
    store, nodes = opened(port=proxy.port, timeout=1), [node(f"n{i}", f"text {i}") for i in range(2_000)]
    proxy.cut(30_000, times=10**6)
    with pytest.raises(ComponentError, match=rf"Chroma at http://{HOST}:{proxy.port} does not answer(.|\n)*run again"):
        store.upsert(nodes)
    assert proxy.cuts > 1
    proxy.cut(0, times=0)
    store.upsert(nodes)
    assert store.count() == 2_000


@pytest.mark.parametrize(
    ("status", "headers", "told"),
    [
        (401, {}, r"does not know the key \(HTTP 401\): the gateway's words\n  → check `api_key`"),
        (403, {}, r"refuses the key \(HTTP 403\)(.|\n)*check `api_key`"),
        (413, {}, r"finds a record too large \(HTTP 413\)(.|\n)*make chunks"),
        (429, {}, r"is over its quota \(HTTP 429\): the gateway's words\n  → wait"),
        (429, {"Retry-After": "100"}, r"is over its quota \(HTTP 429\)"),
        (500, {}, r"failed \(HTTP 500\)(.|\n)*run again"),
        (502, {"Content-Type": "text/html"}, r"failed \(HTTP 502\)\n"),
        (503, {}, r"is not ready \(HTTP 503\)"),
        (302, {"Location": "https://elsewhere/"}, r"sends the client elsewhere(.|\n)*correct `host`"),
    ],
)
def test_a_status_says_what_to_do(
    gateway: Gateway, opened: Any, node: Any, ask: Any, status: int, headers: dict[str, str], told: str
) -> None:
    store = opened(port=gateway.port, timeout=0.5)
    store.upsert([node("a")])
    gateway.requests.clear()
    gateway.rule = refusing(status, **headers)
    for call in (lambda: store.upsert([node("b")]), lambda: store.search_ids(ask([1.0] * 16))):
        with pytest.raises(ComponentError, match=told) as caught:
            call()
        assert f"http://{HOST}:{gateway.port}" in str(caught.value)
        assert caught.value.cure
    repeats = (status == 429 or status >= 500) and "Retry-After" not in headers
    assert (len(asked(gateway, "/upsert")) > 1) == (len(asked(gateway, "/query")) > 1) == repeats
    assert list(store.ids()) == ["a"]


@pytest.mark.parametrize(("status", "headers"), [(429, {}), (429, {"Retry-After": "0"}), (500, {}), (503, {})])
def test_what_passes_is_waited_for(gateway: Gateway, opened: Any, node: Any, status: int, headers: dict[str, str]) -> None:
    store = opened(port=gateway.port)
    gateway.rule = refusing(status, times=2, **headers)
    store.upsert([node("a")])
    assert len(asked(gateway, "/upsert")) == 3
    assert list(store.ids()) == ["a"]


def test_a_server_that_is_not_chroma(gateway: Gateway, opened: Any) -> None:
    for body in (b"<html>Hello</html>", b"[]", b'{"hello": "there"}'):
        gateway.rule = lambda request, body=body: Answer(200, body)
        with pytest.raises(ComponentError, match=r"is no Chroma server(.|\n)*correct `host`"):
            opened(port=gateway.port)
    gateway.rule = lambda request: Answer(404, b"<html>nothing here</html>", {"Content-Type": "text/html"})
    with pytest.raises(ComponentError, match="HTTP 404"):
        opened(port=gateway.port)


@pytest.mark.parametrize("name", ["a name!", "x", "-a-"])
@pytest.mark.parametrize("server", [{}, {"host": None, "port": None}])
def test_an_invalid_collection_name(opened: Any, name: str, server: dict[str, Any]) -> None:
    with pytest.raises(ComponentError, match=r"Expected a name(.|\n)*3 to 512 letters"):
        opened(collection=name, **server)


def test_another_dimension(opened: Any, node: Any, ask: Any) -> None:
    store = opened()
    store.upsert([node("a", vector=[1.0, 2.0])])
    for call in (lambda: store.upsert([node("a", vector=[1.0])]), lambda: store.search_ids(ask([1.0, 2.0, 3.0]))):
        with pytest.raises(ComponentError, match=r"dimension of 2(.|\n)*vectors of another model"):
            call()
    assert store.count() == 1


def test_batches_fit_into_a_request(port: int, gateway: Gateway, tmp_path: Path, opened: Any, node: Any) -> None:
    store = opened(port=gateway.port, store_text=True)
    store._limits = dataclasses.replace(store._limits, weight=200_000)
    store.upsert([node(f"n{i}", "ü" * 10_000) for i in range(20)])
    assert len(asked(gateway, "/upsert")) > 1
    assert max(len(request.body) for request in asked(gateway, "/upsert")) <= 200_000
    store.upsert([node("n0", "ü" * 100_000), node("n1")])
    assert [len(one.text) for one in store.nodes_of(["n1", "n0", "unknown"])] == [0, 100_000]


def test_a_record_larger_than_the_server_takes(opened: Any, node: Any) -> None:
    store = opened(store_text=True)
    with pytest.raises(ComponentError, match=r"finds a record too large \(HTTP 413\)"):
        store.upsert([node("a", "x" * 45_000_000)])
    assert store.count() == 0


# Collections that are not what they were


def test_a_deleted_collection_is_an_error_and_the_one_in_its_place_is_used(opened: Any, native: Any, node: Any, ask: Any) -> None:
    store = opened()
    store.upsert([node("a")])
    store.mark({"owner": "me"})
    native.delete_collection(store.client.name)
    for call in (lambda: store.upsert([node("b")]), lambda: store.search_ids(ask([1.0] * 16)), store.count, store.marker):
        with pytest.raises(ComponentError, match=r"does not have the collection any more(.|\n)*ragkit views repair"):
            call()
    again = opened()
    again.upsert([node("c")])
    assert store.marker() is None
    with pytest.raises(ComponentError, match="ragkit views repair"):
        store.count()  # nobody has marked the new one yet: it may be anybody's
    again.mark({"owner": "me"})
    assert store.marker() == {"owner": "me"}
    assert list(store.ids()) == ["c"]
    store.drop()
    again.drop()  # it is gone already


@pytest.mark.parametrize("space", ["cosine", "l2"])
def test_a_foreign_collection_is_left_alone(opened: Any, native: Any, space: str) -> None:
    name = f"ragkit-{uuid4().hex[:12]}"
    foreign = native.create_collection(
        name, configuration={"hnsw": {"space": space, "ef_search": 77}}, metadata={"made by": "somebody"}, embedding_function=None
    )
    foreign.add(ids=["theirs"], embeddings=[[1.0, 2.0]])
    if space == "l2":
        with pytest.raises(ComponentError, match=r"measures 'l2' instead of 'cosine', so ragkit did not make it"):
            opened(collection=name)
    else:
        assert opened(collection=name).marker() is None
    after = native.get_collection(name, embedding_function=None)
    assert after.metadata == {"made by": "somebody"}
    assert after.configuration["hnsw"]["ef_search"] == 77
    assert after.get()["ids"] == ["theirs"]


@pytest.fixture
def project(tmp_path: Path, port: int) -> Project:
    project = Project(tmp_path / "project", more=f"vector_store: {{use: chroma, host: {HOST}, port: {port}}}")
    for number in range(3):
        project.write(f"{number}.md", f"# Lake {number}\n\nThe lake {number} has fish and reeds.\n")
    return project


def test_a_state_finds_its_collection_gone_and_builds_it_anew(project: Project, native: Any) -> None:
    report = project.ingest()
    (view,) = [view for view in report.views if view.kind == "vector"]
    assert view.count == 3
    name = collection_of(project)
    native.delete_collection(name)
    with project.open() as pipeline:
        with pytest.raises(DriftedError, match="ragkit views repair"):
            pipeline.search("lake")
        pipeline.repair_views()
        assert len(pipeline.search("lake").hits) == 3
    assert project.ingest().embedded == 0
    assert native.get_collection(name, embedding_function=None).count() == 3


def test_a_state_refuses_a_foreign_collection_of_that_name(project: Project, native: Any) -> None:
    project.ingest()
    name = collection_of(project)
    native.delete_collection(name)
    foreign = native.create_collection(name, configuration={"hnsw": {"space": "cosine"}}, embedding_function=None)
    foreign.add(ids=["theirs"], embeddings=[[1.0] * 64])
    with project.open() as pipeline:
        for call in (lambda: pipeline.search("lake"), pipeline.repair_views):
            with pytest.raises(OwnershipError, match="is not this state's"):
                call()
    project.write("4.md", "# Lake 4\n\nThe lake 4 is new.\n")
    with pytest.raises(OwnershipError):
        project.ingest()
    assert foreign.get()["ids"] == ["theirs"]


def test_a_folder_and_a_server_are_swapped_without_embedding(project: Project, port: int) -> None:
    assert project.ingest().embedded == 3
    before = project.hits("lake")
    project.configure(more="vector_store: chroma")
    assert project.ingest().embedded == 0
    assert project.hits("lake") == before
    project.configure(more=f"vector_store: {{use: chroma, host: {HOST}, port: {port}}}")
    assert project.ingest().embedded == 0
    assert project.hits("lake") == before


def collection_of(project: Project) -> str:
    with project.open() as pipeline:
        return str(pipeline._index.live().vector.collection)
