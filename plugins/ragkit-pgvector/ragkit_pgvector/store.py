"""A table of PostgreSQL as a vector store, with LlamaIndex's methods and ragkit's optional protocols."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.schema import BaseNode
from llama_index.core.vector_stores.types import (
    BasePydanticVectorStore,
    MetadataFilters,
    VectorStoreQuery,
    VectorStoreQueryResult,
)
from psycopg.sql import SQL, Composable, Composed, Identifier

from ragkit.components import Hits
from ragkit.filters import matcher
from ragkit.stores import Candidates, StoreMethods, batches, nearest, require_dimension, vector_of
from ragkit_pgvector.connections import Connection, Database
from ragkit_pgvector.distances import EXACT, NEAR
from ragkit_pgvector.faults import NAME
from ragkit_pgvector.records import node, record, sendable, vector_text
from ragkit_pgvector.table import Table, require_extension
from ragkit_pgvector.where import Where, translate

if TYPE_CHECKING:
    from ragkit_pgvector import PgvectorOptions

_MOST_EF = 1_000
"""pgvector's largest `hnsw.ef_search`: a search for more hits is exact."""
_ITERATIVE = (0, 8)
"""The version of pgvector from which HNSW goes on searching while a filter leaves too few."""
_ROWS = 200
"""So many rows go into one statement; a batch is one transaction however many those are."""
_PAGE = 10_000
_COLUMNS = {
    "id": "text", "document": "text", "metadata": "jsonb", "raw": "text", "moments": "jsonb", "folded": "jsonb",
    "content": "text", "embedding": "vector",
}  # fmt: skip
_NODE = SQL(", document, content, coalesce(raw, metadata::text)")


class PgvectorStore(StoreMethods, BasePydanticVectorStore):
    """A table of PostgreSQL. Every write is one transaction: it is durable when the call returns, or has not happened.

    Not a subclass of LlamaIndex's `PGVectorStore`: nothing of it would be left. That one searches by the cosine alone, wants
    the dimension before the first vector comes, adds an id twice without replacing it, writes filters' keys and values into
    the SQL text, compares metadata as text, goes on after a setup that failed, and needs two more drivers (psycopg2 and
    asyncpg), one for each half of its methods. `client` gives SQLAlchemy's pool of psycopg connections.
    """

    stores_text: bool = False
    is_embedding_query: bool = True

    _database: Database = PrivateAttr()
    _table: Table = PrivateAttr()
    _metric: str = PrivateAttr()
    _ef_search: int = PrivateAttr()
    _iterative: bool = PrivateAttr()
    _dimension: int | None = PrivateAttr(default=None)
    _indexed: bool = PrivateAttr(default=False)

    def __init__(self, database: Database, table: Table, options: PgvectorOptions, version: tuple[int, ...]) -> None:
        super().__init__(stores_text=options.store_text)
        self._database = database
        self._table = table
        self._metric = options.metric
        self._ef_search = options.ef_search
        self._iterative = version >= _ITERATIVE

    @classmethod
    def open(cls, collection: str, options: PgvectorOptions) -> PgvectorStore:
        """Connect, and look for the extension. Raises `ComponentError` where either fails."""
        table = Table(collection, options)
        database = Database(options)
        try:
            database.search_path, version = require_extension(database)
        except BaseException:
            database.close()
            raise
        return cls(database, table, options, version)

    # What ragkit asks for

    def search_ids(self, query: VectorStoreQuery) -> Hits:
        """The nearest chunks and their similarity: the cosine, the inner product, or minus the squared distance."""
        found = self._search(query, SQL(""))
        return list(found.ids), list(found.scores)

    def evaluates(self, filters: MetadataFilters) -> bool:
        """Whether SQL has the meaning of `filters`: it does, but for a comparison with an infinite number and its like."""
        return translate(filters).whole

    def upsert(self, nodes: Sequence[BaseNode]) -> None:
        """Add nodes, or replace all of those with the same id, in one transaction."""
        unique = {node.node_id: node for node in nodes}
        if not unique:
            return
        vectors = {id_: node.get_embedding() for id_, node in unique.items()}
        dimension = len(next(iter(vectors.values())))
        held = self._held() or dimension
        for vector in vectors.values():
            require_dimension(NAME, held, len(vector))
        if self._dimension is None:
            self._database.run(lambda connection: self._table.prepare(connection, dimension))
            require_dimension(NAME, self._held(), dimension)
        # in the order of their ids, so that two writers never wait for each other
        rows = [record(unique[id_], vectors[id_], store_text=self.stores_text) for id_ in sorted(unique)]
        statement = self._insert()

        def write(connection: Connection) -> None:
            for part in batches(rows, _ROWS):
                connection.execute(statement, [[getattr(row, column) for row in part] for column in _COLUMNS])

        self._write(write)

    def vectors(self, ids: Sequence[str]) -> Mapping[str, Sequence[float]]:
        """The stored vectors of those of `ids` that are there, as rows of float32."""
        statement = SQL("SELECT id, vector_send(embedding) FROM {} WHERE id = ANY(%s)").format(self._table.name)
        asked = [id_ for id_ in dict.fromkeys(ids) if sendable(id_)]
        if not asked or self._held() is None:
            return {}

        def read(connection: Connection) -> dict[str, Sequence[float]]:
            rows = connection.cursor(binary=True).execute(statement, [asked])
            # pgvector sends the dimension and a field for later in two bytes each, then big-endian floats
            return {id_: np.frombuffer(sent, ">f4", offset=4).astype(np.float32) for id_, sent in rows}  # type: ignore[misc]

        return self._database.run(read)

    def ids(self) -> Iterator[str]:
        """Every id in order, read in pages: an open cursor would hold a connection, and up the server's clean-up."""
        statement = SQL("SELECT id FROM {} WHERE id > %s ORDER BY id LIMIT %s").format(self._table.name)
        last = ""
        while self._held() is not None:
            after = [last, _PAGE]
            page = self._database.run(lambda connection, after=after: connection.execute(statement, after).fetchall())  # type: ignore[misc]
            yield from (str(id_) for (id_,) in page)
            if len(page) < _PAGE:
                return
            last = str(page[-1][0])

    def count(self) -> int:
        statement = SQL("SELECT count(*) FROM {}").format(self._table.name)

        def read(connection: Connection) -> int:
            if self._dimension is None and not self._table.exists(connection):
                return 0
            row = connection.execute(statement).fetchone()
            return int(row[0]) if row else 0

        return self._database.run(read)

    def drop(self) -> None:
        """Remove the table with its mark."""
        self._database.run(self._table.drop)
        self._dimension = None

    def marker(self) -> Mapping[str, str] | None:
        return self._database.run(self._table.marker)

    def mark(self, values: Mapping[str, str]) -> None:
        """Keep `values` in the table `ragkit_marks`, instead of what was kept before."""
        seen = self._dimension is not None
        self._write(lambda connection: self._table.mark(connection, values, seen=seen))

    def close(self) -> None:
        """Close all connections; a later call opens new ones."""
        self._database.close()

    # What LlamaIndex asks for

    @classmethod
    def class_name(cls) -> str:
        return "ragkit.PgvectorStore"

    @property
    def client(self) -> Any:
        """SQLAlchemy's pool of psycopg connections."""
        return self._database.pool

    def query(self, query: VectorStoreQuery, **kwargs: Any) -> VectorStoreQueryResult:
        """The hits of `search_ids`; with nodes only where the store keeps the text."""
        found = self._search(query, _NODE if self.stores_text else SQL(""))
        nodes = [node(id_, *row[1:]) for id_, row in zip(found.ids, found.rows, strict=True)] if self.stores_text else None
        return VectorStoreQueryResult(nodes=nodes, ids=list(found.ids), similarities=list(found.scores))

    def delete(self, ref_doc_id: str, **delete_kwargs: Any) -> None:
        """Remove every chunk of a document."""
        self._delete(SQL("document = ANY(%s)"), [[ref_doc_id] if sendable(ref_doc_id) else []])

    def delete_ids(self, ids: Sequence[str]) -> None:
        self._delete(SQL("id = ANY(%s)"), [[id_ for id_ in ids if sendable(id_)]])

    def clear(self) -> None:
        """Remove every chunk; the table and its mark stay."""
        self._delete(SQL("TRUE"), [])

    def passing(self, filters: MetadataFilters, ids: Sequence[str] | None) -> Sequence[str]:
        """The ids, of these (all, where None), of the chunks that `filters` let pass."""
        if self._held() is None or (ids is not None and not ids):
            return []
        where = translate(filters, VectorStoreQuery(node_ids=list(ids)) if ids is not None else None)
        statement = SQL("SELECT id, {} FROM {} WHERE {}").format(where.doubt(), self._table.name, where.sql())
        rows = self._database.run(lambda connection: connection.execute(statement, where.parameters).fetchall())
        satisfies = matcher(filters)
        return [id_ for id_, doubt in rows if doubt is None or satisfies(json.loads(doubt))]

    # How

    def _search(self, query: VectorStoreQuery, more: Composable) -> Candidates:
        """The nearest rows. Those of which SQL cannot tell whether they pass are judged here, and more are fetched then."""
        vector, k = vector_of(query, NAME), query.similarity_top_k
        held = self._held()
        if held is None or k <= 0:
            return Candidates([], [])
        require_dimension(NAME, held, len(vector))
        where = translate(query.filters, query)
        found = nearest(lambda n: self._ask(vector, n, where, more), k)
        if all(row[0] is None for row in found.rows):
            return found

        satisfies = matcher(query.filters)
        passes = cache(lambda doubt: doubt is None or satisfies(json.loads(doubt)))
        return nearest(lambda n: self._ask(vector, n, where, more), k, lambda row: passes(row[0]))

    def _ask(self, vector: Sequence[float], n: int, where: Where, more: Composable) -> Candidates:
        """The nearest `n` rows: by the index, and where that brings too few or cannot search so broadly, exactly."""
        parameters = {**where.parameters, "v": vector_text(vector), "n": n}
        near = NEAR[self._metric]
        exact = EXACT[self._metric].format(near)
        by_index = self._indexed and n <= _MOST_EF and any(vector)  # no index holds a direction for the zero vector
        settings = {"hnsw.ef_search": str(max(n, self._ef_search))} if by_index else {}
        if by_index and where.filtered:
            settings["enable_seqscan"] = "off"  # the planner knows nothing of how many pass a filter on jsonb
        if by_index and self._iterative:
            settings["hnsw.iterative_scan"] = "strict_order"

        def read(connection: Connection) -> list[Any]:
            if by_index:
                rows = connection.execute(self._select(near, where, more, SQL("distance")), parameters).fetchall()
                if len(rows) == n:
                    return rows
                if where.filtered:
                    connection.execute("SET LOCAL enable_seqscan TO on")
            return connection.execute(self._select(exact, where, more, SQL("distance, id")), parameters).fetchall()

        rows = self._database.run(read, **settings)
        return Candidates([row[0] for row in rows], [self._similarity(row[1]) for row in rows], [row[2:] for row in rows])

    def _select(self, distance: Composable, where: Where, more: Composable, order: Composable) -> Composed:
        statement = SQL("SELECT id, {} AS distance, {}{} FROM {} WHERE {} ORDER BY {} LIMIT %(n)s")
        return statement.format(distance, where.doubt(), more, self._table.name, where.sql(), order)

    def _similarity(self, distance: float) -> float:
        """The operators give 1 − cosine, minus the inner product, and the Euclidean distance."""
        if self._metric == "l2":
            return -distance * distance
        return 1.0 - distance if self._metric == "cosine" else -distance

    def _insert(self) -> Composed:
        columns = SQL(", ").join(map(Identifier, _COLUMNS))
        typed = SQL(", ").join(SQL("{}::{}").format(Identifier(column), SQL(kind)) for column, kind in _COLUMNS.items())
        arrays = SQL(", ").join([SQL("%s::text[]")] * len(_COLUMNS))
        replaced = SQL(", ").join(SQL("{0} = excluded.{0}").format(Identifier(column)) for column in _COLUMNS if column != "id")
        return SQL("INSERT INTO {} ({}) SELECT {} FROM unnest({}) AS given ({}) ON CONFLICT (id) DO UPDATE SET {}").format(
            self._table.name, columns, typed, arrays, columns, replaced
        )

    def _delete(self, condition: Composable, parameters: Sequence[Any]) -> None:
        statement = SQL("DELETE FROM {} WHERE {}").format(self._table.name, condition)
        if self._held() is not None:
            self._write(lambda connection: connection.execute(statement, parameters))

    def _write(self, work: Any) -> None:
        """Run a transaction that is on the server's disk when it ends, whatever the server's default."""

        def durable(connection: Connection) -> None:
            connection.execute(
                "SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off'"
            )
            work(connection)

        self._database.run(durable)

    def _held(self) -> int | None:
        """The dimension of the vectors that the table takes; None as long as there is none, which is looked for again."""
        if self._dimension is None:

            def read(connection: Connection) -> tuple[int | None, bool]:
                return self._table.dimension(connection), self._table.indexed(connection)

            self._dimension, self._indexed = self._database.run(read)
        return self._dimension
