"""The store `bm25`, beyond what the conformance suite tests of every store: its formulas, what waits for a flush, damage."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ragkit_bm25
from ragkit.components import (
    Counts,
    Drops,
    Flushes,
    ListsIds,
    Marks,
    ScoresIds,
    SearchesIds,
    Upserts,
    WeighsTerms,
)
from ragkit.errors import ComponentError
from ragkit.testing import FakeContext
from ragkit_bm25 import BM25Options

TEXTS = {
    "a": "red fish swim with red fish",
    "b": "a blue fish",
    "c": "the bird flies over the blue sea and the red rocks",
    "d": "nothing of interest here",
    "e": "",
}


@pytest.fixture
def store(context: FakeContext, node: Any) -> Any:
    made = ragkit_bm25.build_store(BM25Options(), context)
    made.upsert([node(id_, text, document=f"doc-{id_}") for id_, text in TEXTS.items()])
    made.flush()
    return made


def test_offers_the_protocols(store: Any) -> None:
    for protocol in (SearchesIds, ScoresIds, WeighsTerms, ListsIds, Counts, Upserts, Flushes, Drops, Marks):
        assert isinstance(store, protocol)
    assert (store.is_embedding_query, store.stores_text) == (False, False)


@pytest.mark.parametrize("method", ["lucene", "robertson", "atire", "bm25l", "bm25+"])
def test_scores_equal_bm25s_own(method: Any, context: FakeContext, node: Any, ask: Any) -> None:
    import bm25s

    rng = np.random.default_rng(0)
    texts = [" ".join(f"w{i}" for i in rng.zipf(1.3, size=rng.integers(1, 40)) % 50) for _ in range(200)]
    store = ragkit_bm25.build_store(BM25Options(method=method, k1=1.2, b=0.6, language="none"), context)
    store.upsert([node(f"{i:03}", text) for i, text in enumerate(texts)])
    store.flush()
    own = bm25s.BM25(method=method, k1=1.2, b=0.6)
    own.index([text.split() for text in texts], show_progress=False)
    for question in ("w1 w2", "w7", "w3 w3 w20"):
        known = [word for word in question.split() if word in own.vocab_dict]
        has = np.array([bool(set(known) & set(text.split())) for text in texts])
        true = np.where(has, own.get_scores(known), 0)
        assert store.score_ids(question, [f"{i:03}" for i in range(200)]) == pytest.approx(true, abs=1e-5)
        ids, scores = store.search_ids(ask(question, 20))
        assert scores == pytest.approx(np.sort(true[true > 0])[::-1][:20], abs=1e-5)
        assert store.score_ids(question, ids) == scores


def test_stop_words_alone_find_nothing(store: Any, ask: Any) -> None:
    assert store.search_ids(ask("the of", 100)) == ([], [])


def test_ties_come_in_the_order_of_the_ids(context: FakeContext, node: Any, ask: Any) -> None:
    store = ragkit_bm25.build_store(BM25Options(), context)
    store.upsert([node(f"n{i:02}", "same words") for i in reversed(range(50))])
    store.flush()
    assert store.search_ids(ask("same", 7))[0] == [f"n{i:02}" for i in range(7)]


def test_an_unseen_term_weighs_as_lucene_has_it(store: Any) -> None:
    assert store.idf(["unseen"]) == pytest.approx([np.log(1 + 5.5 / 0.5)])


def test_an_upsert_replaces_and_a_delete_removes_at_the_next_flush(store: Any, node: Any, ask: Any) -> None:
    store.upsert([node("a", "green frogs"), node("f", "a new fish")])
    store.delete_nodes(["b", "unknown"])
    assert store.search_ids(ask("fish"))[0] == ["a", "b"]
    assert store.count() == 5
    store.flush()
    assert store.search_ids(ask("fish"))[0] == ["f"]
    assert store.search_ids(ask("frog"))[0] == ["a"]
    assert list(store.ids()) == ["a", "c", "d", "e", "f"]
    assert store.score_ids("swim", ["a"]) == [0.0]


def test_deletes_a_document(store: Any, node: Any) -> None:
    store.upsert([node("z", "waiting", document="doc-c")])
    store.delete("doc-c")
    store.flush()
    assert list(store.ids()) == ["a", "b", "d", "e"]


def test_many_updates_equal_one_build(tmp_path: Path, node: Any, ask: Any) -> None:
    from ragkit.testing import build_context

    rng = np.random.default_rng(3)
    live: dict[str, str] = {}
    store = ragkit_bm25.build_store(BM25Options(), build_context(tmp_path / "updated"))
    for _ in range(12):
        new = {f"n{rng.integers(30)}": " ".join(f"w{i}" for i in rng.integers(0, 20, size=8)) for _ in range(6)}
        gone = [f"n{rng.integers(30)}" for _ in range(4)]
        store.upsert([node(id_, text) for id_, text in new.items()])
        store.delete_nodes(gone)
        store.flush()
        live = {id_: text for id_, text in {**live, **new}.items() if id_ not in gone}
    fresh = ragkit_bm25.build_store(BM25Options(), build_context(tmp_path / "fresh"))
    fresh.upsert([node(id_, text) for id_, text in live.items()])
    fresh.flush()
    assert list(store.ids()) == sorted(live)
    assert store.search_ids(ask("w1 w2 w3", 50)) == fresh.search_ids(ask("w1 w2 w3", 50))
    unseen, known = store.idf(["gone", "w1"]), fresh.idf(["gone", "w1"])
    assert unseen == known


def test_a_dropped_index_leaves_no_file(store: Any, context: FakeContext) -> None:
    store.mark({"owner": "uuid"})
    store.drop()
    assert (store.marker(), store.count(), list(context.folder.iterdir())) == (None, 0, [])


def test_other_options_are_refused(store: Any, context: FakeContext) -> None:
    with pytest.raises(ComponentError, match="was built with"):
        ragkit_bm25.build_store(BM25Options(k1=2.0), context).count()


def test_a_damaged_index_says_how_to_mend_it(store: Any, context: FakeContext) -> None:
    (context.folder / "index-1" / "data.npy").write_bytes(b"not an array")
    with pytest.raises(ComponentError, match="ragkit views repair"):
        ragkit_bm25.build_store(BM25Options(), context).count()


def test_readers_in_threads_always_see_one_whole_index(context: FakeContext, node: Any, ask: Any) -> None:
    """Each index has its number in every one of its texts; a torn read would mix two of them."""
    store = ragkit_bm25.build_store(BM25Options(language="none"), context)
    store.upsert([node(f"n{i}", "all g0") for i in range(40)])
    store.flush()
    problems: list[str] = []
    stop = threading.Event()

    def read() -> None:
        own = ragkit_bm25.build_store(BM25Options(language="none"), context)
        while not stop.is_set():
            for reader in (own, store):
                ids, scores = reader.search_ids(ask("all", 100))
                if len(ids) != 40 or len(set(scores)) != 1:
                    problems.append(f"{len(ids)} hits, scores {set(scores)}")

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    for generation in range(1, 25):
        store.upsert([node(f"n{i}", f"all g{generation}" + " more" * generation) for i in range(40)])
        store.flush()
    stop.set()
    for thread in threads:
        thread.join()
    assert problems == []
    assert len(list(context.folder.glob("index-*"))) == 1


def test_the_compiled_loops_give_the_same(store: Any, node: Any, ask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    store.upsert([node(f"n{i:03}", " ".join(["red", "blue", "fish"][: 1 + i * 7 % 3])) for i in range(300)])
    store.flush()
    asked = [(question, k) for question in ("red blue fish", "blue", "unseen", "") for k in (0, 1, 7, 100, 301, 2_000)]
    plain = [store.search_ids(ask(*one)) for one in asked]
    monkeypatch.setattr("ragkit_bm25.numbers.COMPILED_FROM", 1)
    assert [store.search_ids(ask(*one)) for one in asked] == plain


@pytest.mark.parametrize("method", ["lucene", "bm25+"])
def test_an_index_built_in_pieces_is_the_same(
    method: Any, context: FakeContext, node: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Large collections are scored a range of terms at a time, so that the memory stays bounded."""
    from ragkit_bm25.index import build

    rng = np.random.default_rng(2)
    store = ragkit_bm25.build_store(BM25Options(method=method, language="none"), context)
    store.add([node(f"{i:03}", " ".join(f"w{j}" for j in rng.zipf(1.3, size=i % 50) % 60)) for i in range(150)])
    whole = store.client
    for size in (1, 7, 400):
        monkeypatch.setattr("ragkit_bm25.index._AT_ONCE", size)
        pieces = build(whole.corpus, BM25Options(method=method, language="none"))
        for name in ("data", "indices", "indptr"):
            assert np.array_equal(getattr(pieces, name), getattr(whole, name)), (size, name)
