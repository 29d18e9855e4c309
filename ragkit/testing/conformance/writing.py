"""Adding, replacing and deleting: what both kinds of store do with what they are given."""

from __future__ import annotations

import pytest

from ragkit.components import Upserts
from ragkit.errors import RagkitError
from ragkit.testing.conformance.claims import needs
from ragkit.testing.conformance.filtering import equal
from ragkit.testing.conformance.stores import chunk, uid, uids
from ragkit.testing.conformance.suite import Opener, StoreSuite


class WritingTests(StoreSuite):
    """What is written is what is held, however often it is written."""

    def test_an_empty_store_answers(self, opener: Opener) -> None:
        """Answer a search, a count and a listing of a new store with nothing, and let a deletion there be no error."""
        store = opener()
        assert store.search("red") == ([], [])
        assert (store.count(), store.ids()) == (0, [])
        store.flush()
        assert store.count() == 0

    def test_what_was_added_is_found_under_its_id(self, opener: Opener) -> None:
        """Return the ids from `add`, keep them as they are, and after a flush find the chunks at once.

        A store whose writes become visible later waits for that in `flush`.
        """
        store = opener()
        added = store.store.add([chunk("a", "common red"), chunk("b", "common blue"), chunk("c", "common blue")])
        store.flush()
        assert added == [uid("a"), uid("b"), uid("c")]
        assert (store.about("red"), store.about("blue")) == (uids("a"), uids("bc"))
        assert (store.ids(), store.count()) == (uids("abc"), 3)

    def test_adding_the_same_again_changes_nothing(self, opener: Opener) -> None:
        """Replace what has the same id, or write nothing: a second copy must not appear, also not after a repeated batch."""
        store = opener()
        batch = [chunk("a", "common red"), chunk("b", "common blue")]
        store.put(*batch)
        first = store.search("red")
        store.put(*batch)
        store.put(batch[0])
        assert store.search("red") == first
        assert (store.ids(), store.count()) == (uids("ab"), 2)

    @needs(lambda claims: claims.upserts)
    def test_an_id_twice_in_a_batch_keeps_the_last(self, opener: Opener) -> None:
        """Drop earlier nodes with the same id from the batch before you hand it on."""
        store = opener()
        store.put(chunk("a", "common red"), chunk("b", "common blue"), chunk("a", "common green"))
        assert (store.about("red"), store.about("green"), store.count()) == ([], uids("a"), 2)

    def test_an_update_replaces_what_is_searched(self, opener: Opener) -> None:
        """Replace vector and text of an id that is there. Many clients' `add` leaves it as it was, without an error: use
        their upsert, or offer no `Upserts`, and ragkit deletes first."""
        store = opener()
        store.put(chunk("a", "common red"), chunk("b", "common blue"))
        store.put(chunk("a", "common green"))
        assert (store.about("red"), store.about("green"), store.about("blue")) == ([], uids("a"), uids("b"))
        assert (store.ids(), store.count()) == (uids("ab"), 2)

    @needs(lambda claims: claims.filters)
    def test_an_update_replaces_all_metadata(self, opener: Opener) -> None:
        """Replace the metadata as a whole: a key that the new node lacks must be gone. Some clients merge instead."""
        store = opener()
        store.put(chunk("a", metadata={"year": 2020, "old": "yes", "tags": ["x"]}, document="first"))
        store.put(chunk("a", metadata={"year": 2021, "new": "yes"}, document="second"))
        for key, value, found in (("year", 2020, ""), ("old", "yes", ""), ("year", 2021, "a"), ("new", "yes", "a")):
            assert store.about("common", filters=equal(key, value)) == uids(found), (key, value)

    @needs(lambda claims: claims.deletes)
    def test_an_update_replaces_the_document(self, opener: Opener) -> None:
        """Keep each chunk's `ref_doc_id` and replace it in an update, so that its former document takes it along no more."""
        store = opener()
        store.put(chunk("a", document="first"), chunk("b", document="first"))
        store.put(chunk("a", document="second"))
        store.remove_document("first")
        assert store.ids() == uids("a")

    @needs(lambda claims: claims.deletes)
    def test_deletes_by_id(self, opener: Opener) -> None:
        """Remove what `delete_nodes(ids)` names, forgive ids that are not there, and remove nothing for an empty list."""
        store = opener()
        store.remove(uid("a"))
        store.put(chunk("a", "common red"), chunk("b", "common red"), chunk("c", "common blue"))
        store.remove(uid("a"), uid("unknown"), uid("a"))
        assert (store.about("red"), store.ids(), store.count()) == (uids("b"), uids("bc"), 2)
        store.remove()
        store.remove(uid("a"))
        assert store.ids() == uids("bc")
        store.remove(uid("b"), uid("c"))
        assert (store.ids(), store.count(), store.search("red")) == ([], 0, ([], []))

    @needs(lambda claims: claims.deletes)
    def test_deletes_by_document(self, opener: Opener) -> None:
        """Keep each chunk's `ref_doc_id`, whatever characters it has; `delete(ref_doc_id)` removes exactly its chunks."""
        documents = {"a": "guide/one.md", "b": "guide/one.md", "c": "guide/one.md#2", "d": "guide/Übung 1 'quoted'.md", "e": "%"}
        store = opener()
        store.put(*(chunk(name, document=document) for name, document in documents.items()))
        for document, left in (("unknown", "abcde"), ("guide/one.md", "cde"), ("guide/Übung 1 'quoted'.md", "ce"), ("%", "c")):
            store.remove_document(document)
            assert store.ids() == uids(left), document

    @needs(lambda claims: claims.deletes)
    def test_what_was_deleted_can_come_back(self, opener: Opener) -> None:
        """Let an id be added again after it was deleted, with nothing of its former self."""
        store = opener()
        store.put(chunk("a", "common red"), chunk("b", "common blue"))
        store.remove(uid("a"))
        store.put(chunk("a", "common green"))
        assert (store.about("red"), store.about("green"), store.ids()) == ([], uids("a"), uids("ab"))

    @needs(lambda claims: not claims.deletes)
    def test_deleting_is_refused_where_it_is_not_claimed(self, opener: Opener) -> None:
        """Claim `delete: True` where chunks can be deleted, otherwise raise NotImplementedError from `delete_nodes`."""
        store = opener()
        store.store.add([chunk("a")])
        with pytest.raises((NotImplementedError, RagkitError)):
            store.remove(uid("a"))

    def test_upsert_is_offered_where_it_is_claimed(self, opener: Opener) -> None:
        """Make the capability `upsert` say whether there is a method `upsert` (`ragkit.components.Upserts`)."""
        assert isinstance(opener().store, Upserts) == self.claims().upserts

    def test_counts_what_it_holds(self, opener: Opener) -> None:
        """Let `count` be exact after a flush; a view whose count disagrees with the ledger is taken to be damaged."""
        store = opener()
        for step in range(3):
            store.put(*(chunk(f"{step}-{i}") for i in range(7)))
            assert store.count() == len(store.ids()) == 7 * (step + 1)
