"""The store `pgvector`, beyond what the conformance suite tests of every store: the database around it, its index, its faults."""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
from pydantic import ValidationError

import ragkit_pgvector
from ragkit.components import Counts, Drops, ListsIds, Marks, ReturnsVectors, SearchesIds, TellsFilters, Upserts
from ragkit.errors import ComponentError
from ragkit.filters import matches
from ragkit.testing import build_context
from ragkit.testing.conformance.filtering import one, several
from ragkit_pgvector import PgvectorOptions

pytest_plugins = ["postgres"]
pytestmark = pytest.mark.service

COLLECTION = "ragkit-1a2b-g3-vector"


@pytest.fixture
def opened(database: str, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Opens a store in a database of the test's own: `opened()`, `opened("other", ef_search=10)`."""
    stores = contextlib.ExitStack()

    def make(collection: str = COLLECTION, **options: Any) -> Any:
        given = {} if "host" in options else {"url": database}
        made = ragkit_pgvector.build(
            PgvectorOptions.model_validate({**given, **options}), build_context(tmp_path, collection=collection)
        )
        stores.callback(made.close)
        return made

    with stores:
        yield make


@pytest.fixture
def store(opened: Callable[..., Any]) -> Any:
    return opened()


@pytest.fixture
def sql(postgres: Any, database: str) -> Callable[..., Any]:
    """Runs a statement as superuser in the test's database."""
    name = database.rsplit("/", 1)[1]
    return lambda statement, *parameters: postgres.execute(statement, *parameters, database=name)


def told(error: BaseException) -> str:
    """All that a user could see of an error."""
    inner = error.__cause__ or error.__context__
    return "\n".join([repr(error), str(error), str(getattr(error, "cure", "")), told(inner) if inner is not None else ""])


def filled(store: Any, node: Any, count: int, dim: int = 32, **metadata: Any) -> Any:
    """Put `count` random vectors in; they are returned."""
    vectors = np.random.default_rng(7).normal(size=(count, dim))
    store.upsert([node(f"n{i:05}", vector=vector.tolist(), number=i, **metadata) for i, vector in enumerate(vectors)])
    return vectors


def test_offers_the_protocols(store: Any) -> None:
    for protocol in (SearchesIds, ReturnsVectors, ListsIds, Counts, Upserts, Drops, Marks, TellsFilters):
        assert isinstance(store, protocol)


# Options


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"url": "mysql://u:se cret@h/d"}, "postgresql://"),
        ({"url": "host=h password=se cret"}, "postgresql://"),
        ({"url": "postgresql://u:se cret@h/d", "host": "h"}, "both set"),
        ({"m": 50, "ef_construction": 99}, "at least 2"),
        ({"ef_search": 1001}, "1000"),
        ({"schema_name": "100%"}, "match pattern"),
        ({"timeout": 0}, "greater than 0"),
        ({"metric": "manhattan"}, "cosine"),
    ],
)
def test_options_that_cannot_be(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words) as caught:
        PgvectorOptions.model_validate(options)
    assert "se cret" not in str(caught.value)


def test_what_is_part_of_the_fingerprint() -> None:
    values = PgvectorOptions.model_validate({"url": "postgresql://u:p@h/d", "schema_name": "s", "ef_search": 9}).identity_values()
    assert set(values) == {"metric", "index", "m", "ef_construction", "store_text"}


def test_a_url_that_libpq_cannot_read_is_told_without_it(opened: Any) -> None:
    for url in ("postgresql://user:se cret@h:port/d", "postgresql://u:secret@h/d?nonsense=1", "postgresql://u:%zzsecret@h/d"):
        with pytest.raises(ComponentError, match="not a URL") as caught:
            opened(url=url)
        assert "secret" not in told(caught.value)
        assert "se cret" not in told(caught.value)


def test_the_database_is_named_in_parts(postgres: Any, database: str, opened: Any, node: Any, monkeypatch: Any) -> None:
    parts = {"host": "127.0.0.1", "port": postgres.port, "database": database.rsplit("/", 1)[1], "user": "postgres"}
    monkeypatch.setenv("PGPASSWORD", "wrong")
    store = opened(**parts, password="se cret/@:%word")
    store.upsert([node("a", "text")])
    assert store.count() == opened().count() == 1


def test_what_is_not_named_comes_from_the_environment(postgres: Any, database: str, opened: Any, monkeypatch: Any) -> None:
    for key, value in {"PGPORT": str(postgres.port), "PGUSER": "postgres", "PGPASSWORD": "se cret/@:%word"}.items():
        monkeypatch.setenv(key, value)
    assert opened(host="127.0.0.1", database=database.rsplit("/", 1)[1]).count() == 0


def test_a_name_that_postgresql_would_cut_is_refused(opened: Any) -> None:
    for name in ("x" * 64, "ü" * 32, "", "100%", "a\x00"):
        with pytest.raises(ComponentError, match="no name for a table"):
            opened(name)


def test_names_are_quoted(opened: Any, node: Any, sql: Any) -> None:
    strange = '"; DROP TABLE ragkit_marks; --'
    store = opened(strange, schema_name='Sch"ema $1 {0}')
    store.upsert([node("a", "text", year=1)])
    store.mark({"owner": "me"})
    assert (store.count(), store.marker(), list(store.ids())) == (1, {"owner": "me"}, ["a"])
    assert sql("SELECT schemaname FROM pg_tables WHERE tablename = %s", strange) == [('Sch"ema $1 {0}',)]
    store.drop()
    assert sql("SELECT count(*) FROM pg_tables WHERE tablename = %s", strange) == [(0,)]


# What is kept, and the index


def test_a_batch_is_one_transaction(store: Any, node: Any) -> None:
    store.upsert([node("kept", vector=[1.0, 0.0])])
    batch = [node(f"n{i:04}", vector=[0.0, 1.0]) for i in range(600)]
    with pytest.raises(ComponentError, match="refuses a value") as caught:
        store.upsert([*batch, node("z", vector=[0.0, math.inf])])
    assert "finite" in caught.value.cure
    assert list(store.ids()) == ["kept"]
    store.upsert(batch)
    assert store.count() == 601


def test_the_index_gives_all_that_are_asked_for(opened: Any, node: Any, sql: Any) -> None:
    store = opened(ef_search=1)
    vectors = filled(store, node, 3000)
    sql(f'ANALYZE "{COLLECTION}"')
    store.close()
    before = _scans(sql)
    for question in vectors[:5]:  # connections are new: hnsw.ef_search is set before pgvector's library is there
        store.close()
        ids, _ = store.search_ids(_ask(question, 200))
        assert len(set(ids)) == 200
    store.close()  # statistics are told when a connection ends
    _until(lambda: _scans(sql)[1] - before[1] >= 5)
    assert _scans(sql)[0] == before[0], "the table was read from end to end"
    assert len(set(store.search_ids(_ask(vectors[0], 2500))[0])) == 2500


def test_a_filter_that_few_pass_still_fills_top_k(opened: Any, node: Any, ask: Any) -> None:
    store = opened(ef_search=10)
    vectors = filled(store, node, 2000)
    question = vectors[0]
    order = np.argsort(-(vectors @ question) / np.linalg.norm(vectors, axis=1))
    wanted = sorted(int(i) for i in [*order[:2], *order[-7:]])  # the index comes upon two of them
    best = [f"n{i:05}" for i in order if i in wanted]
    for k in (2, 5, 50):
        assert store.search_ids(ask(question.tolist(), k, filters=several("and", one("number", "in", wanted))))[0] == best[:k]


def test_pgvector_from_0_8_goes_on_searching_by_itself(store: Any, node: Any, monkeypatch: Any) -> None:
    """Only that the setting is made: no such version is here."""
    filled(store, node, 20)
    seen: list[dict[str, str]] = []
    run = store._database.run
    monkeypatch.setattr(store._database, "run", lambda work, **settings: (seen.append(settings), run(work))[1])
    for iterative in (False, True):
        store._iterative = iterative
        store.search_ids(_ask([1.0] * 32, 5))
    assert [settings.get("hnsw.iterative_scan") for settings in seen] == [None, "strict_order"]


@pytest.mark.parametrize("options", [{"index": "none"}, {"metric": "l2", "m": 5, "ef_construction": 33}])
def test_the_index_is_made_as_the_options_say(opened: Any, node: Any, sql: Any, options: dict[str, Any]) -> None:
    store = opened(**options)
    vectors = filled(store, node, 50)
    made = sql("SELECT indexdef FROM pg_indexes WHERE tablename = %s AND indexdef LIKE '%%hnsw%%'", COLLECTION)
    if options.get("index") == "none":
        assert made == []
    else:
        assert "vector_l2_ops" in made[0][0]
        assert "(m='5', ef_construction='33')" in made[0][0]
    assert store.search_ids(_ask(vectors[3], 1))[0] == ["n00003"]


def test_more_dimensions_than_the_index_takes_are_searched_exactly(opened: Any, node: Any, sql: Any, caplog: Any) -> None:
    store = opened()
    with caplog.at_level(logging.WARNING, "ragkit_pgvector"):
        vectors = filled(store, node, 30, dim=2001)
        store.upsert([node("more", vector=vectors[0].tolist())])
        filled(opened(), node, 30, dim=2001)
    assert [record.getMessage().split(":")[0] for record in caplog.records] == ["pgvector indexes at most 2000 dimensions"]
    assert store.search_ids(_ask(vectors[3], 1))[0] == ["n00003"]
    assert sql("SELECT count(*) FROM pg_indexes WHERE tablename = %s AND indexdef LIKE '%%hnsw%%'", COLLECTION) == [(0,)]
    with pytest.raises(ComponentError, match="16000") as caught:
        opened("other").upsert([node("a", vector=[1.0] * 16_001)])
    assert "16,000" in caught.value.cure


def test_a_zero_vector_has_the_cosine_0(store: Any, node: Any, ask: Any) -> None:
    store.upsert([node("zero", vector=[0.0, 0.0]), node("like", vector=[1.0, 0.0]), node("unlike", vector=[-1.0, 0.0])])
    assert store.search_ids(ask([2.0, 0.0])) == (["like", "zero", "unlike"], [1.0, 0.0, -1.0])
    assert store.search_ids(ask([0.0, 0.0])) == (["like", "unlike", "zero"], [0.0, 0.0, 0.0])


def test_ids_come_in_pages(store: Any, node: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("ragkit_pgvector.store._PAGE", 7)
    ids = sorted([*(f"n{i}" for i in range(28)), "Ü", "_", "a b", "%"])
    store.upsert([node(id_, "text") for id_ in ids])
    listing = store.ids()
    assert next(listing) == ids[0]
    assert store.count() == 32  # no connection is held meanwhile
    assert [ids[0], *listing] == ids


def test_clear_keeps_the_mark(store: Any, node: Any, ask: Any) -> None:
    store.upsert([node("a", "text")])
    store.mark({"owner": "me"})
    store.clear()
    assert (store.count(), store.marker(), store.search_ids(ask([1.0] * 16))) == (0, {"owner": "me"}, ([], []))


def test_a_mark_comes_before_the_first_vector(opened: Any, node: Any) -> None:
    opened().mark({"owner": "me"})
    store = opened()
    assert (store.marker(), store.count(), list(store.ids())) == ({"owner": "me"}, 0, [])
    store.upsert([node("a", "text")])
    assert opened().marker() == {"owner": "me"}


def test_restricted_to_documents_and_nodes(store: Any, node: Any, ask: Any) -> None:
    store.upsert([node(name, vector=[1.0, 0.0], document=document) for name, document in ("ax", "bx", "cy", "dy")])
    assert store.search_ids(ask([1.0, 0.0], doc_ids=["x", "\x00"]))[0] == ["a", "b"]
    assert store.search_ids(ask([1.0, 0.0], node_ids=["b", "c", "unknown"]))[0] == ["b", "c"]
    assert store.search_ids(ask([1.0, 0.0], doc_ids=["x"], node_ids=["b", "c"]))[0] == ["b"]


def test_delete_nodes_by_filter(store: Any, node: Any) -> None:
    store.upsert([node("a", "t", year=1), node("b", "t", year=2), node("c", "t", year=2, odd=math.nan)])
    store.delete_nodes(["a", "b"], several("and", one("year", "==", 2)))
    assert list(store.ids()) == ["a", "c"]
    store.delete_nodes(filters=several("and", one("year", "==", 2)))
    assert list(store.ids()) == ["a"]


def test_text_that_postgresql_cannot_keep(opened: Any, node: Any, ask: Any) -> None:
    store = opened(store_text=True)
    store.upsert([node("a", "nul \x00 half \ud83d whole 😀", vector=[1.0, 0.0], document="d")])
    (found,) = store.query(ask([1.0, 0.0])).nodes
    assert (found.get_content(), found.ref_doc_id) == ("nul \ufffd half \ufffd whole 😀", "d")


# Filters

ODD: dict[str, dict[str, Any]] = {
    "nan": {"x": math.nan, "kind": "post"},
    "infinite": {"x": math.inf},
    "nul": {"x": "a\x00b", "kind": "post"},
    "nul in a key": {"k\x00": 1, "x": 1},
    "half": {"x": "\ud83d"},
    "deep": {"x": [{"y": math.inf}], "kind": "post"},
    "backslash": {"x": "\\u0000"},
    "large": {"x": 2**53 + 1},
    "larger": {"x": 10**30},
    "float": {"x": float(2**53)},
    "inexact": {"x": 1e23},
    "third": {"x": 1 / 3},
    "true": {"x": True},
    "truths": {"x": [True, 0, [1, False]]},
    "nested": {"x": [[1, 0], {"a": 1}]},
    "sharp": {"x": "Straße", "kind": "POST"},
    "kelvin": {"x": "\u212aelvin İ"},
    "accents": {"x": "E\u0301 É"},
    "day": {"x": "2024-05-01"},
    "moment": {"x": "2024-05-01T01:30:00+02:00"},
    "no day": {"x": "2024-02-30"},
    "early": {"x": "0001-01-01"},
}
WANTED: tuple[Any, ...] = (
    1, 0, True, False, 2**53, 2**53 + 1, float(2**53), 10**23, 1e23, 10**30, 1 / 3, math.nan, math.inf, -math.inf,
    "", "a\x00b", "\x00", "\ud83d", "\\u0000", "strasse", "SS", "ß", "kelvin", "K", "é", "post",
    "2024-05-01", "2024-04-30T23:30:00Z", "2024-02-30", None, [], [1, 0], [True, False], [[1, 0]], [[True, False], "post"],
    [1] * 9, ["Straße", "x"], ["a\x00b"], [None],
)  # fmt: skip


def test_filters_mean_the_same_for_what_jsonb_cannot_hold(store: Any, node: Any, ask: Any) -> None:
    store.upsert([node(name, vector=[1.0, 0.0]) for name in ODD])
    nodes = [node(name, vector=[1.0, 0.0]) for name in ODD]
    for made, metadata in zip(nodes, ODD.values(), strict=True):
        made.metadata = dict(metadata)
    store.upsert(nodes)
    operators = ("==", "!=", ">", "<", ">=", "<=", "in", "nin", "any", "all", "contains", "text_match", "text_match_insensitive",
                 "is_empty")  # fmt: skip
    wrong = []
    for operator in operators:
        for want in WANTED:
            for filters in (_filter("x", operator, want), several("not", *_filter("x", operator, want).filters)):
                found = set(store.search_ids(ask([1.0, 0.0], 100, filters=filters))[0])
                kept = {name: json.loads(json.dumps(metadata)) for name, metadata in ODD.items()}
                if found != (true := {name for name, metadata in kept.items() if matches(filters, metadata)}):
                    wrong.append((operator, want, found ^ true))
    assert wrong == []
    assert set(store.search_ids(ask([1.0, 0.0], 100, filters=_filter("k\x00", "==", 1)))[0]) == {"nul in a key"}


def test_the_trace_hears_what_sql_cannot_say(store: Any) -> None:
    assert store.evaluates(several("and", one("when", ">", "2024-05-01"), one("title", "text_match_insensitive", "ß")))
    assert not store.evaluates(_filter("x", "<", math.inf))


def test_keys_and_values_are_never_part_of_the_statement(store: Any, node: Any, ask: Any) -> None:
    nasty = """'; DROP TABLE x; -- %s %(v)s {0} " \\ $1 ::text"""
    store.upsert([node("a", vector=[1.0, 0.0], **{nasty: nasty}), node("b", vector=[1.0, 0.0], **{nasty: [nasty, 1]})])
    for operator, found in (("==", ["a"]), ("any", ["a", "b"]), ("contains", ["a", "b"]), (">=", ["a"]), ("text_match", ["a"])):
        assert store.search_ids(ask([1.0, 0.0], filters=several("and", one(nasty, operator, nasty))))[0] == found


# The database around it


def test_many_begin_at_once(opened: Any, node: Any, postgres: Any, database: str) -> None:
    """Extension, schema, marks and table are made once, whoever comes first."""
    together = threading.Barrier(6, timeout=60)

    def begin(number: int) -> None:
        together.wait()
        store = opened(schema_name="new")
        store.upsert([node(f"n{number}", vector=[1.0, float(number)])])
        store.mark({"owner": "all"})

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(begin, range(6)))
    assert list(opened(schema_name="new").ids()) == [f"n{i}" for i in range(6)]


def test_one_begins_with_another_dimension(opened: Any, node: Any) -> None:
    late = opened()
    assert late.count() == 0
    opened().upsert([node("a", vector=[1.0, 0.0])])
    with pytest.raises(ComponentError, match="dimension 2, not 3"):
        late.upsert([node("b", vector=[1.0, 0.0, 0.0])])
    with pytest.raises(ComponentError, match="dimension"):
        opened("other").upsert([node("a", vector=[1.0]), node("b", vector=[1.0, 2.0])])
    assert (list(late.ids()), opened("other").count()) == (["a"], 0)


def test_a_table_of_somebody_else_is_left_alone(opened: Any, node: Any, sql: Any) -> None:
    sql(f'CREATE TABLE "{COLLECTION}" (id text, precious text)')
    sql(f"""INSERT INTO "{COLLECTION}" VALUES ('x', 'y')""")
    store = opened()
    assert (store.marker(), store.count()) == (None, 1)
    with pytest.raises(ComponentError, match="not one of ragkit's") as caught:
        store.upsert([node("a", "text")])
    assert "schema_name" in caught.value.cure
    assert sql(f'SELECT * FROM "{COLLECTION}"') == [("x", "y")]


def test_a_role_without_rights(opened: Any, node: Any, postgres: Any, database: str, sql: Any) -> None:
    name = database.rsplit("/", 1)[1]
    role = postgres.create_role("pw")
    url = postgres.url(name, user=role, password="pw")
    with pytest.raises(ComponentError, match=r"does not have the extension `vector`.*permission denied") as caught:
        opened(url=url)
    assert "CREATE EXTENSION vector" in caught.value.cure
    sql('CREATE SCHEMA ext; CREATE EXTENSION vector SCHEMA "ext"; GRANT USAGE ON SCHEMA "ext" TO PUBLIC')
    store = opened(url=url)
    with pytest.raises(ComponentError, match=rf"127.0.0.1:{postgres.port}/{name} does not allow it.*schema") as caught:
        store.upsert([node("a", "text")])
    assert "GRANT" in caught.value.cure
    sql(f"GRANT CREATE ON SCHEMA public TO {role}")
    vectors = filled(store, node, 300)  # the type lies in a schema that is not on the role's path
    store.mark({"owner": "me"})
    assert len(store.search_ids(_ask(vectors[0], 100))[0]) == 100
    assert len(store.vectors(["n00001"])["n00001"]) == 32
    sql(f"DROP OWNED BY {role}")


def test_a_server_without_pgvector(tmp_path: Path) -> None:
    import postgres as support

    with support.running(without_vector=True) as server:
        options = PgvectorOptions.model_validate({"url": server.url()})
        with pytest.raises(ComponentError, match=r"does not have the extension `vector`") as caught:
            ragkit_pgvector.build(options, build_context(tmp_path))
    assert "install it first" in caught.value.cure


def test_another_encoding_is_refused(opened: Any, postgres: Any) -> None:
    name = postgres.create_database("ENCODING 'SQL_ASCII' TEMPLATE template0")
    with pytest.raises(ComponentError, match="SQL_ASCII, not UTF8") as caught:
        opened(url=postgres.url(name))
    assert "createdb" in caught.value.cure


def test_writes_are_durable_whatever_the_servers_default(opened: Any, node: Any, sql: Any, database: str) -> None:
    sql(f"ALTER DATABASE {database.rsplit('/', 1)[1]} SET synchronous_commit TO off")
    store = opened()
    store.upsert([node("a", "text")])
    seen: list[Any] = []
    store._write(lambda connection: seen.append(connection.execute("SHOW synchronous_commit").fetchone()))
    assert seen == [("on",)]
    assert store._database.run(lambda connection: connection.execute("SHOW synchronous_commit").fetchone()) == ("off",)


# Faults


def test_who_may_not_log_in(opened: Any, postgres: Any) -> None:
    nowhere = postgres.url("nowhere")
    wrong = {
        "password authentication": (postgres.url(password="opensesame"), "correct user and password"),
        "does not have the database": (nowhere, "createdb"),
        "password authentication failed": (postgres.url(user="stranger", password="opensesame"), "correct user"),
    }
    for words, (url, cure) in wrong.items():
        with pytest.raises(ComponentError, match=words) as caught:
            opened(url=url)
        assert f"127.0.0.1:{postgres.port}/" in str(caught.value)
        assert cure in caught.value.cure
        assert "opensesame" not in told(caught.value)
        assert "se cret" not in told(caught.value)
        assert "se%20cret" not in told(caught.value)


def test_nobody_answers(opened: Any) -> None:
    import postgres as support

    port = support.free_port()
    with pytest.raises(ComponentError, match=f"pgvector at 127.0.0.1:{port}/d does not answer") as caught:
        opened(url=f"postgresql://u:opensesame@127.0.0.1:{port}/d")
    assert "opensesame" not in told(caught.value)
    assert "start the server" in caught.value.cure


def test_the_server_is_restarted(opened: Any, node: Any, ask: Any, postgres: Any) -> None:
    store = opened()
    store.upsert([node("a", vector=[1.0, 0.0])])
    with ThreadPoolExecutor(4) as pool:  # so that several connections lie in the pool
        list(pool.map(lambda _: store.search_ids(ask([1.0, 0.0])), range(20)))
    postgres.stop()
    postgres.start()
    assert store.count() == 1
    postgres.stop()
    try:
        for call in (
            store.count,
            lambda: store.search_ids(ask([1.0, 0.0])),
            lambda: store.upsert([node("b", vector=[0.0, 1.0])]),
        ):
            with pytest.raises(ComponentError, match="does not answer"):
                call()
    finally:
        postgres.start()
    store.upsert([node("b", vector=[0.0, 1.0])])
    assert list(store.ids()) == ["a", "b"]


def test_the_connection_is_cut_in_the_middle_of_a_batch(opened: Any, node: Any, postgres: Any, database: str) -> None:
    store = opened()
    store.upsert([node("z", vector=[1.0, 0.0], year=1)])
    with _held_row(database, "z"), ThreadPoolExecutor(1) as pool:
        batch = [*(node(f"n{i:04}", vector=[0.0, 1.0]) for i in range(450)), node("z", vector=[1.0, 0.0], year=2)]
        writing = pool.submit(store.upsert, batch)
        postgres.execute("SELECT pg_terminate_backend(%s)", _waiting(postgres, database))
        with pytest.raises(ComponentError, match="does not answer: terminating connection") as caught:
            writing.result(60)
    assert "run again" in caught.value.cure
    assert list(store.ids()) == ["z"], "half of the batch was applied"
    store.upsert(batch)
    assert store.count() == 451


def test_a_statement_takes_too_long(opened: Any, node: Any, database: str) -> None:
    opened().upsert([node("z", vector=[1.0, 0.0])])
    store = opened(timeout=0.3)
    with _held_row(database, "z"), pytest.raises(ComponentError, match="took too long") as caught:
        store.upsert([node("a", vector=[1.0, 0.0]), node("z", vector=[0.0, 1.0])])
    assert "`timeout`" in caught.value.cure
    store.upsert([node("b", vector=[1.0, 0.0])])
    assert list(store.ids()) == ["b", "z"]


def test_a_backend_that_stopped_answering(opened: Any, node: Any, postgres: Any, database: str) -> None:
    store = opened(timeout=2)
    store.upsert([node("z", vector=[1.0, 0.0])])
    with _held_row(database, "z"), ThreadPoolExecutor(1) as pool:
        writing = pool.submit(store.upsert, [node("z", vector=[0.0, 1.0])])
        pid = _waiting(postgres, database)
        os.kill(pid, signal.SIGSTOP)
        try:
            with pytest.raises(ComponentError, match="does not answer: no answer within") as caught:
                writing.result(60)
        finally:
            os.kill(pid, signal.SIGCONT)
    assert "`timeout`" in caught.value.cure
    assert store.count() == 1


def test_a_server_that_stopped_answering(opened: Any, node: Any, postgres: Any) -> None:
    store = opened(timeout=0.5)
    store.upsert([node("a", vector=[1.0, 0.0])])
    store.close()
    postgres.signal(signal.SIGSTOP)
    try:
        with pytest.raises(ComponentError, match="does not answer"):
            store.count()
    finally:
        postgres.signal(signal.SIGCONT)
    assert store.count() == 1


def test_writers_in_each_others_way_are_repeated(opened: Any, node: Any, database: str, postgres: Any) -> None:
    store = opened()
    store.upsert([node("a", vector=[1.0, 0.0]), node("z", vector=[1.0, 0.0])])
    with psycopg.connect(database) as other, ThreadPoolExecutor(1) as pool:
        other.execute("SET deadlock_timeout TO '10min'")  # so that ragkit's side is the one that gives way
        other.execute(f"""UPDATE "{COLLECTION}" SET document = 'x' WHERE id = 'z'""")
        writing = pool.submit(store.upsert, [node("a", vector=[0.0, 1.0]), node("z", vector=[0.0, 1.0])])
        _waiting(postgres, database)
        other.execute(f"""UPDATE "{COLLECTION}" SET document = 'x' WHERE id = 'a'""")
        other.commit()
        writing.result(60)
    assert [vector.tolist() for vector in store.vectors(["a", "z"]).values()] == [[0.0, 1.0], [0.0, 1.0]]


def test_the_table_is_dropped_behind_ragkits_back(opened: Any, node: Any, ask: Any, sql: Any) -> None:
    store = opened()
    store.upsert([node("a", vector=[1.0, 0.0])])
    store.mark({"owner": "me"})
    sql(f'DROP TABLE "{COLLECTION}"')
    calls: list[Callable[[], Any]] = [
        store.count,
        lambda: list(store.ids()),
        lambda: store.vectors(["a"]),
        lambda: store.search_ids(ask([1.0, 0.0])),
        lambda: store.upsert([node("b", vector=[1.0, 0.0])]),
        lambda: store.delete_nodes(["a"]),
        lambda: store.delete("d"),
        lambda: store.mark({"owner": "me"}),
    ]
    for call in calls:
        with pytest.raises(ComponentError, match="does not have the collection any more") as caught:
            call()
        assert "ragkit views repair" in caught.value.cure
    assert store.marker() is None
    again = opened()
    assert (again.marker(), again.count(), again.search_ids(ask([1.0, 0.0]))) == (None, 0, ([], []))


def test_the_extension_is_dropped_behind_ragkits_back(opened: Any, node: Any, ask: Any, sql: Any) -> None:
    store = opened()
    store.upsert([node("a", vector=[1.0, 0.0])])
    sql("DROP EXTENSION vector CASCADE")
    for call in (lambda: store.search_ids(ask([1.0, 0.0])), lambda: store.upsert([node("b", vector=[1.0, 0.0])])):
        with pytest.raises(ComponentError):
            call()


def test_ids_that_postgresql_cannot_keep(store: Any, node: Any) -> None:
    store.upsert([node("a", vector=[1.0, 0.0])])
    for id_ in ("x\x00", "half \ud83d", "x" * 300_000):
        with pytest.raises(ComponentError) as caught:
            store.upsert([node("b", vector=[1.0, 0.0]), node(id_, vector=[1.0, 0.0])])
        assert caught.value.cure
        assert "does not answer" not in str(caught.value)
    store.delete("half \ud83d")
    store.delete_nodes(["x\x00", "half \ud83d"])
    assert dict(store.vectors(["x\x00"])) == {}
    assert list(store.ids()) == ["a"]


def test_all_connections_are_busy(opened: Any) -> None:
    store = opened(timeout=0.5, pool=1)
    with store.client.connect(), pytest.raises(ComponentError, match="connections of this process are busy") as caught:
        store.count()
    assert "`pool`" in caught.value.cure
    assert store.count() == 0


# What the tests do


def _ask(vector: Any, k: int) -> Any:
    from llama_index.core.vector_stores.types import VectorStoreQuery

    return VectorStoreQuery(query_embedding=[float(value) for value in vector], similarity_top_k=k)


def _filter(key: str, operator: str, value: Any) -> Any:
    """A filter with values that LlamaIndex's own validation does not know."""
    from llama_index.core.vector_stores.types import FilterOperator, MetadataFilter

    return several("and", MetadataFilter.model_construct(key=key, operator=FilterOperator(operator), value=value))


def _scans(sql: Any) -> tuple[int, int]:
    """How often the collection's table was read from end to end, and its index searched."""
    ((whole, index),) = sql(
        "SELECT seq_scan, (SELECT sum(idx_scan) FROM pg_stat_user_indexes AS i JOIN pg_indexes ON indexname = indexrelname"
        " WHERE i.relname = t.relname AND indexdef LIKE '%%hnsw%%') FROM pg_stat_user_tables AS t WHERE relname = %s",
        COLLECTION,
    )
    return int(whole), int(index)


def _until(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.02)


@contextlib.contextmanager
def _held_row(database: str, id_: str) -> Iterator[None]:
    """Another session that has a row locked: who writes it waits."""
    with psycopg.connect(database) as other:
        other.execute(f'SELECT FROM "{COLLECTION}" WHERE id = %s FOR UPDATE', [id_])
        yield


def _waiting(postgres: Any, database: str) -> int:
    """The process of the server that works for ragkit and waits for a lock."""
    statement = "SELECT pid FROM pg_stat_activity WHERE application_name = 'ragkit' AND wait_event_type = 'Lock' AND datname = %s"
    found: list[Any] = []
    _until(lambda: bool(found.extend(postgres.execute(statement, database.rsplit("/", 1)[1])) or found))
    return int(found[0][0])
