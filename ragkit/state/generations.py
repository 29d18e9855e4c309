"""Generations: a chunking with its two views, one of them live.

A generation is wanted by fingerprints. What an existing one already has (the chunks, a view) is shared with the new one.
The live pointer moves in one transaction; a generation that nobody leases is then forgotten.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, RowMapping, delete, func, insert, select, update

from ragkit.state.copies import Copies
from ragkit.state.ledger import Ledger
from ragkit.state.locks import Lock
from ragkit.state.records import GenerationRecord, ViewRecord
from ragkit.state.schema import chunkings, chunks, copies, cuts, generations, meta, views


@dataclass(frozen=True)
class WantedView:
    """A view as the configuration describes it. `processes` is the store's capability of that name."""

    kind: str
    component: str
    processes: str
    fingerprint: str


@dataclass(frozen=True)
class Wanted:
    """The generation that the configuration describes."""

    chunking: str
    vector: WantedView
    keyword: WantedView


class Generations:
    """The generations of one ledger."""

    def __init__(self, ledger: Ledger, name: str) -> None:
        """`name` begins the names of collections: lower-case letters, digits and hyphens, at most 24 characters."""
        self._ledger = ledger
        self._copies = Copies(ledger)
        self._name = name

    def live(self) -> GenerationRecord | None:
        """The generation that answers, or None before the first one is complete."""
        with self._ledger.read() as connection:
            number = _live(connection)
            return self._get(connection, number) if number else None

    def live_number(self) -> int:
        """The number of the generation that answers, 0 before the first one; cheap enough for every query."""
        with self._ledger.ask() as connection:
            return _live(connection)

    def all(self) -> list[GenerationRecord]:
        """Every generation that is not forgotten yet, oldest first."""
        with self._ledger.read() as connection:
            numbers = connection.execute(select(generations.c.id).order_by(generations.c.id)).scalars().all()
            return [self._get(connection, number) for number in numbers]

    def matches(self, wanted: Wanted, generation: GenerationRecord) -> list[str]:
        """What differs between them: any of `chunking`, `vector store or embedding`, `keyword store`; empty if nothing."""
        with self._ledger.ask() as connection:
            query = select(chunkings.c.fingerprint).where(chunkings.c.id == generation.chunking)
            chunking = connection.execute(query).scalar_one()
        pairs = [
            ("chunking", chunking, wanted.chunking),
            ("vector store or embedding", generation.vector.fingerprint, wanted.vector.fingerprint),
            ("keyword store", generation.keyword.fingerprint, wanted.keyword.fingerprint),
        ]
        return [name for name, has, wants in pairs if has != wants]

    def ensure(self, wanted: Wanted) -> GenerationRecord:
        """The generation for `wanted`: the one that is there, or a new one that shares what fits."""
        with self._ledger.write("generation.create") as connection:
            query = select(chunkings.c.id).where(chunkings.c.fingerprint == wanted.chunking)
            chunking = connection.execute(query).scalar()
            if chunking is None:
                statement = insert(chunkings).values(fingerprint=wanted.chunking).returning(chunkings.c.id)
                chunking = connection.execute(statement).scalar_one()
            vector = self._ensure_view(connection, chunking, wanted.vector)
            keyword = self._ensure_view(connection, chunking, wanted.keyword)
            same = (generations.c.vector == vector) & (generations.c.keyword == keyword)
            number = connection.execute(select(generations.c.id).where(same)).scalar()
            if number is None:
                values = {"chunking": chunking, "vector": vector, "keyword": keyword}
                number = connection.execute(insert(generations).values(values).returning(generations.c.id)).scalar_one()
            return self._get(connection, number)

    def switch(self, generation: GenerationRecord) -> None:
        """Make a complete generation the one that answers."""
        with self._ledger.write("generation.switch") as connection:
            connection.execute(delete(meta).where(meta.c.key == "live"))
            connection.execute(insert(meta).values(key="live", value=str(generation.id)))

    def lease(self, generation: GenerationRecord) -> Lock:
        """A lock that keeps the generation while anybody holds it shared."""
        return self._ledger.lock(f"generation-{generation.id}", f"generation {generation.id}")

    def unused_views(self, generation: GenerationRecord) -> list[ViewRecord]:
        """The views of `generation` that no other generation uses."""
        others = [other for other in self.all() if other.id != generation.id]
        used = {view.id for other in others for view in (other.vector, other.keyword)}
        return [view for view in (generation.vector, generation.keyword) if view.id not in used]

    def forget(self, generation: GenerationRecord) -> None:
        """Delete the generation's row, and the views and chunks that only it used; their collections are gone already."""
        unused = [view.id for view in self.unused_views(generation)]
        with self._ledger.write("generation.forget") as connection:
            connection.execute(delete(generations).where(generations.c.id == generation.id))
            connection.execute(delete(copies).where(copies.c.view.in_(unused)))
            connection.execute(delete(views).where(views.c.id.in_(unused)))
            shared = select(func.count()).where(generations.c.chunking == generation.chunking)
            if not connection.execute(shared).scalar_one():
                connection.execute(delete(chunks).where(chunks.c.chunking == generation.chunking))
                connection.execute(delete(cuts).where(cuts.c.chunking == generation.chunking))
                connection.execute(delete(chunkings).where(chunkings.c.id == generation.chunking))

    def applied(self, view: ViewRecord) -> int:
        """How far a view has come here."""
        with self._ledger.ask() as connection:
            return self._copies.applied(connection, view)

    def set_applied(self, view: ViewRecord, applied: int) -> None:
        """Record how far a view has come here; what it stands for must be durable in the store by now."""
        with self._ledger.write("view.applied") as connection:
            self._copies.move(connection, view, applied)

    def collections(self) -> set[str]:
        """The names of the collections of all views that there are."""
        with self._ledger.ask() as connection:
            return set(connection.execute(select(views.c.collection)).scalars())

    def _ensure_view(self, connection: Connection, chunking: int, wanted: WantedView) -> int:
        same = (views.c.chunking == chunking) & (views.c.kind == wanted.kind) & (views.c.fingerprint == wanted.fingerprint)
        found = connection.execute(select(views.c.id).where(same)).scalar()
        if found is not None:
            return int(found)
        values = {
            "kind": wanted.kind, "chunking": chunking, "component": wanted.component, "processes": wanted.processes,
            "collection": "", "fingerprint": wanted.fingerprint,
        }  # fmt: skip
        number = int(connection.execute(insert(views).values(values).returning(views.c.id)).scalar_one())
        name = f"{self._name}-{wanted.kind}-{number}-{self._ledger.state_uuid[:8]}"
        row = connection.execute(update(views).where(views.c.id == number).values(collection=name).returning(*views.c)).one()
        self._copies.begin(connection, _view(row._mapping))
        return number

    def _get(self, connection: Connection, number: int) -> GenerationRecord:
        row = connection.execute(select(generations).where(generations.c.id == number)).mappings().one()
        pair = {
            name: _view(connection.execute(select(views).where(views.c.id == row[name])).mappings().one())
            for name in ("vector", "keyword")
        }
        return GenerationRecord(number, row["chunking"], pair["vector"], pair["keyword"], number == _live(connection))


_LIVE = select(meta.c.value).where(meta.c.key == "live")


def _live(connection: Connection) -> int:
    return int(connection.execute(_LIVE).scalar() or 0)


def _view(row: RowMapping) -> ViewRecord:
    names = ("id", "kind", "component", "processes", "collection", "fingerprint", "chunking")
    return ViewRecord(**{name: row[name] for name in names})
