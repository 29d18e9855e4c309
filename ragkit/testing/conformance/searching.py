"""Order, ties and top_k; and LlamaIndex's own methods, sync and async."""

from __future__ import annotations

import asyncio

from llama_index.core.vector_stores.types import BasePydanticVectorStore

from ragkit.testing.conformance.claims import METRICS, PROCESSES, needs, said_by
from ragkit.testing.conformance.stores import MANY, Opened, chunk, uid, uids
from ragkit.testing.conformance.suite import Opener, StoreSuite


class SearchingTests(StoreSuite):
    """What both kinds of store owe to whoever asks."""

    def test_the_capabilities_are_declared(self) -> None:
        """Declare what the store can do: the host refuses settings by it, and this suite chooses its tests by it."""
        said = said_by(self.component, self.sample_options)
        wanted = {"processes", "filters", "delete", "upsert", *self.declares()}
        assert wanted - said.keys() == set(), "declare these"
        assert said["processes"] in PROCESSES
        assert {*self.claims().metrics} <= {*METRICS}
        assert set(self.claims().operators).isdisjoint(self.claims().other_operators)

    def test_the_best_come_first(self, opener: Opener) -> None:
        """Sort hits by descending score: more is more alike. A distance has to become a similarity."""
        store = _spread(opener)
        ids, scores = store.search("red")
        assert ids[:3] == [uid("all"), uid("half"), uid("third")]
        assert scores == sorted(scores, reverse=True)
        assert len(set(ids)) == len(ids)

    def test_top_k_bounds_the_hits(self, opener: Opener) -> None:
        """Return exactly `similarity_top_k` hits where there are as many, all where there are fewer, none for 0."""
        store = _spread(opener)
        everything, scores = store.search("red", MANY)
        assert len(everything) >= 3
        for k in (1, 2, 3, 1_000):
            assert store.search("red", k) == (everything[:k], scores[:k])
        assert store.search("red", 0) == ([], [])

    def test_ties_are_broken_the_same_way_every_time(self, opener: Opener) -> None:
        """Break ties by something that stays, such as the id: the same question gets the same hits, after reopening too."""
        store = opener()
        store.put(*(chunk(f"{i}", "common red") for i in range(60)))
        first = {k: store.search("red", k) for k in (7, 60)}
        assert sorted(first[60][0]) == uids(map(str, range(60)))
        assert len({round(score, 5) for score in first[60][1]}) == 1
        for _ in range(5):
            assert {k: store.search("red", k) for k in first} == first
        store = opener.again(store)
        assert {k: store.search("red", k)[0] for k in first} == {k: ids for k, (ids, _) in first.items()}

    def test_query_gives_what_the_host_gets(self, opener: Opener) -> None:
        """Let LlamaIndex's `query` return the ids and similarities of `search_ids`, so that both worlds see the same."""
        store = _spread(opener)
        result = store.store.query(store.query("red"))
        ids, scores = store.search("red")
        assert list(result.ids or [node.node_id for node in result.nodes or []]) == ids
        assert [float(score) for score in result.similarities or []] == scores

    def test_the_async_methods_do_what_the_others_do(self, opener: Opener) -> None:
        """Let `async_add`, `aquery`, `adelete` and `adelete_nodes` do the same as their twins, also many at a time."""
        store = opener()

        async def use() -> None:
            added = await store.store.async_add([chunk("a", "common red"), chunk("b", "common red", document="other")])
            store.flush()
            assert added == [uid("a"), uid("b")]
            assert store.about("red") == uids("ab")
            results = await asyncio.gather(*(store.store.aquery(store.query("red")) for _ in range(8)))
            assert {tuple(sorted(result.ids or [])) for result in results} == {tuple(uids("ab"))}

        asyncio.run(use())

    @needs(lambda claims: claims.deletes)
    def test_the_async_methods_delete(self, opener: Opener) -> None:
        """As above, for `adelete` and `adelete_nodes`."""
        store = opener()
        store.put(chunk("a", document="one"), chunk("b", document="two"), chunk("c", document="two"), chunk("d"))

        async def use() -> None:
            await store.store.adelete_nodes([uid("a"), uid("unknown")])
            await store.store.adelete("two")
            store.flush()

        asyncio.run(use())
        assert store.ids() == uids("d")

    @needs(lambda claims: claims.asynchronous)
    def test_the_async_methods_are_its_own(self, opener: Opener) -> None:
        """Claim `async` only with an `aquery` and `async_add` that wait without holding up the event loop."""
        store = type(opener().store)
        assert store.aquery is not BasePydanticVectorStore.aquery
        assert store.async_add is not BasePydanticVectorStore.async_add

    @classmethod
    def declares(cls) -> set[str]:
        """The capabilities that stores of this kind have to declare beside those of all."""
        raise NotImplementedError


def _spread(opener: Opener) -> Opened:
    """A store with texts that are about red to different degrees."""
    store = opener()
    words = {"none": "common blue", "third": "red green blue", "all": "red", "half": "red common"}
    store.put(*(chunk(name, text) for name, text in words.items()))
    return store
