"""What stays: after reopening, a kill, beside other processes; and what goes, with `drop`."""

from __future__ import annotations

import signal

from ragkit.components import Marks
from ragkit.testing.conformance.claims import needs
from ragkit.testing.conformance.concurrency import ROUNDS, Child, Watch, churn, prepared
from ragkit.testing.conformance.stores import Opened, chunk, uid, uids
from ragkit.testing.conformance.suite import Opener, StoreSuite

MARK = {"owner": "3f6f7a52-8c4f-4a67-9e0c-94fb3f8b0b6e", "applied": "7", "ключ 'x'": 'wörth "y"'}


class KeepingTests(StoreSuite):
    """A store is as reliable as the ledger needs it to be."""

    def test_reopening_finds_the_same(self, opener: Opener) -> None:
        """Keep everything in `context.folder` or under `context.collection`, and nothing in the object alone, once it was
        flushed."""
        store = opener()
        store.put(chunk("a", "common red"), chunk("b", "common blue"), chunk("c", "common red blue"))
        hits = store.search("red")
        for _ in range(2):
            store = opener.again(store)
            assert (store.ids(), store.count(), store.search("red")) == (uids("abc"), 3, hits)
        store.put(chunk("b", "common red"))
        store = opener.again(store)
        assert uid("b") in store.about("red")

    def test_two_collections_do_not_mix(self, opener: Opener) -> None:
        """Use `context.collection` as the name within a server, and `context.folder` for files; share nothing else."""
        one, other = opener("one"), opener("other")
        one.put(chunk("a", "common red"))
        assert (other.count(), other.search("red")) == (0, ([], []))
        other.put(chunk("a", "common blue"), chunk("b", "common blue"))
        other.mark(MARK)
        assert (one.ids(), one.about("red")) == (uids("a"), uids("a"))
        one.drop()
        assert (other.ids(), other.about("blue")) == (uids("ab"), uids("ab"))
        assert not isinstance(other.store, Marks) or other.store.marker() == MARK

    def test_a_dropped_store_is_gone(self, opener: Opener) -> None:
        """Let `drop` (or `clear`, where there is none) remove chunks and mark for good; opening makes an empty store."""
        store = opener()
        store.put(chunk("a", "common red"), chunk("b", "common blue"))
        store.mark(MARK)
        store.drop()
        store = opener.again(store)
        assert (store.ids(), store.count(), store.search("red")) == ([], 0, ([], []))
        assert not isinstance(store.store, Marks) or store.store.marker() is None
        store.put(chunk("a", "common green"))
        assert (store.about("red"), store.about("green")) == ([], uids("a"))

    def test_keeps_the_mark_of_its_owner(self, opener: Opener) -> None:
        """Keep the strings of `mark` with the collection (`Marks`), replaced as a whole, untouched by writes. A store without it
        keeps its data in `context.folder`, where the host leaves the mark."""
        store = opener()
        if not isinstance(store.store, Marks):
            store.put(chunk("a"))
            assert any(opener.folder().iterdir()), "neither a mark nor files in the folder"
            return
        assert store.store.marker() is None
        store.put(chunk("a"))
        assert store.store.marker() is None, "a collection without a mark is somebody else's"
        for values in (MARK, {"owner": "another"}):
            store.store.mark(values)
            assert store.store.marker() == values
            store.put(chunk("b"))
            store = opener.again(store)
            assert isinstance(store.store, Marks)
            assert store.store.marker() == values
        assert store.ids() == uids("ab")

    def test_what_was_flushed_survives_a_kill(self, opener: Opener) -> None:
        """Return from `flush` (without one, from every write) only when all is durable. After a kill in the middle of a later
        write the store opens, has all that was flushed, and takes the same write again."""
        with Child(opener.job("die")) as died:
            assert died.wait() == -signal.SIGKILL, died.errors()
        store = opener()
        whole, torn = set(uids(f"kept-{i}" for i in range(150))), set(uids(f"torn-{i}" for i in range(150)))
        assert whole <= set(store.ids()) <= whole | torn
        assert set(store.about("after")) >= set(uids(f"kept-{i}" for i in range(50)))
        assert not isinstance(store.store, Marks) or store.store.marker() == {"owner": "killed"}
        store.put(*(chunk(f"torn-{i}", "common after") for i in range(150)))
        store = opener.again(store)
        assert store.count() == 300
        assert set(store.ids()) == whole | torn

    def test_threads_may_read_while_one_writes(self, opener: Opener) -> None:
        """Let every search answer from one whole state, from any thread: never a deleted chunk or its former content after the
        flush returned, never an error, and always the chunks that nobody touches. Guard what the client does not."""
        store = opener()
        prepared(store)
        with Watch(store, threads=3) as watch:
            churn(store, watch.tell, deletes=self.claims().deletes)
        assert watch.problems == []
        assert watch.searches > 3

    @needs(lambda claims: claims.many_processes)
    def test_processes_may_read_while_one_writes(self, opener: Opener) -> None:
        """Claim `processes: many_readers` only if a store that was opened before another process wrote finds what that wrote,
        as soon as it was flushed. Otherwise claim `one`, and ragkit lets in one process at a time."""
        store = opener()
        prepared(store)
        with Watch(store, threads=1) as watch, Child(opener.job("churn")) as writer:
            for line in writer.lines():
                watch.tell(*line)
            assert writer.wait() == 0, writer.errors()
        assert watch.problems == []
        assert watch.told
        self._is_churned(store)

    @needs(lambda claims: claims.processes == "server")
    def test_processes_may_write_beside_each_other(self, opener: Opener) -> None:
        """Claim `processes: server` only if two processes can write to one collection and neither loses anything."""
        store = opener()
        prepared(store)
        mine: list[str] = []
        with Child(opener.job("churn")) as writer:
            for _ in writer.lines():
                mine.append(f"mine-{len(mine)}")
                store.put(chunk(mine[-1], "common mine"))
            assert writer.wait() == 0, writer.errors()
        assert store.about("mine") == uids(mine)
        self._is_churned(store)

    @needs(lambda claims: claims.processes == "one")
    def test_another_process_takes_over(self, opener: Opener) -> None:
        """Let go of the files in `close`: the next process goes on where this one stopped, and this one after it."""
        store = opener()
        prepared(store)
        store.close()
        opener.opened.remove(store)
        with Child(opener.job("churn")) as writer:
            assert writer.wait() == 0, writer.errors()
        store = opener()
        self._is_churned(store)

    def _is_churned(self, store: Opened) -> None:
        """All that `churn` did has arrived."""
        told = Watch(store, threads=0)
        churned = [("rewritten", uid(f"rewritten-{i}")) for i in range(ROUNDS)]
        gone = [("deleted", uid(f"deleted-{i}")) for i in range(ROUNDS)] if self.claims().deletes else []
        for what, id_ in (*churned, *gone):
            told.tell(what, id_)
        assert told.look() == []
