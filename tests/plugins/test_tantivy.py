"""The store `tantivy`, beyond what the conformance suite tests of every store: merged statistics, locks, filters, damage."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import ragkit_bm25
import ragkit_tantivy
from ragkit.components import (
    Counts,
    Drops,
    Flushes,
    ListsIds,
    Marks,
    ScoresIds,
    SearchesIds,
    TellsFilters,
    Upserts,
    WeighsTerms,
)
from ragkit.config import load
from ragkit.errors import ComponentError, ConfigError
from ragkit.host import Host
from ragkit.testing import FakeContext, build_context, plugin
from ragkit_tantivy import TantivyOptions

TEXTS = {
    "a": "red fish swim with red fish",
    "b": "a blue fish",
    "c": "the bird flies over the blue sea and the red rocks",
    "d": "nothing of interest here",
    "e": "",
}


def opened(folder: Path, **options: Any) -> Any:
    return ragkit_tantivy.build(TantivyOptions(**options), build_context(folder))


def filled(folder: Path, node: Any, texts: dict[str, str], **options: Any) -> Any:
    store = opened(folder, **options)
    store.upsert([node(id_, text, document=f"doc-{id_}") for id_, text in texts.items()])
    store.flush()
    return store


@pytest.fixture
def store(context: FakeContext, node: Any) -> Any:
    return filled(context.folder, node, TEXTS)


@pytest.fixture
def child(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Another process that opens the store in `tmp_path` and runs some code; what it prints can be read line by line."""
    started: list[subprocess.Popen[str]] = []

    def start(code: str) -> subprocess.Popen[str]:
        opening = f"""
            import os, signal, sys
            from pathlib import Path
            from llama_index.core.schema import TextNode
            from ragkit.testing import build_context
            import ragkit_tantivy
            def opened(**options):
                return ragkit_tantivy.build(ragkit_tantivy.TantivyOptions(**options), build_context(Path({str(tmp_path)!r})))
            def node(id_, text):
                return TextNode(id_=id_, text=text)
            def at(boundary, do):
                sys.addaudithook(lambda event, args: do() if event == "ragkit.boundary" and args == (boundary,) else None)
            def die():
                os.kill(os.getpid(), signal.SIGKILL)
        """
        script = textwrap.dedent(opening) + textwrap.dedent(code)
        process = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_offers_the_protocols(store: Any) -> None:
    protocols = (SearchesIds, ScoresIds, WeighsTerms, ListsIds, Counts, Upserts, Flushes, Drops, Marks, TellsFilters)
    for protocol in protocols:
        assert isinstance(store, protocol)
    assert (store.is_embedding_query, store.stores_text) == (False, False)


# What is found


@pytest.mark.parametrize(
    ("text", "questions", "missing"),
    [
        ("see validate_email there", ["validate_email", "validate email", "validateEmail"], "fax_number"),
        ("as RFC 2616 has it", ["RFC 2616", "rfc2616 2616"], "HTTP 7231"),
        ("since v1.2.3 only", ["v1.2.3"], "v1.2.4"),
        ("我喜欢机器学习", ["机器学习", "学习"], "历史"),
        ("データベースを使う", ["データ", "データベース"], "カメラ"),
        ("ฉันชอบภาษาไทย", ["ภาษา", "ภาษาไทย"], "แมว"),
    ],
)
def test_finds_what_bm25_finds(text: str, questions: list[str], missing: str, tmp_path: Path, node: Any, ask: Any) -> None:
    texts = {"a": text, "b": "an ordinary text", "c": "今天的天气很好 明日は晴れる"}
    store = filled(tmp_path / "tantivy", node, texts)
    other = ragkit_bm25.build_store(ragkit_bm25.BM25Options(), build_context(tmp_path / "bm25"))
    other.add([node(id_, one) for id_, one in texts.items()])
    for question in questions:
        assert store.search_ids(ask(question))[0][:1] == ["a"], question
        assert sorted(store.search_ids(ask(question))[0]) == sorted(other.search_ids(ask(question))[0]), question
        assert store.terms(question) == other.terms(question)
    assert "a" not in store.search_ids(ask(missing))[0]


def test_scores_are_bm25s_with_tantivys_k1_and_b(tmp_path: Path, node: Any, ask: Any) -> None:
    """Lengths up to 40 terms are kept exactly, so that the formula can be held against that of `bm25`."""
    texts = {f"{i:02}": " ".join(f"w{(i * j) % 7}" for j in range(1, 3 + i % 30)) for i in range(60)}
    store = filled(tmp_path / "tantivy", node, texts, language="none")
    options = ragkit_bm25.BM25Options(k1=1.2, b=0.75, method="robertson", language="none")
    other = ragkit_bm25.build_store(options.model_copy(update={"method": "lucene"}), build_context(tmp_path / "bm25"))
    other.add([node(id_, text) for id_, text in texts.items()])
    for question in ("w1 w2", "w3 w3 w5", "w0"):
        theirs = other.score_ids(question, sorted(texts))
        mine = store.score_ids(question, sorted(texts))
        assert mine == pytest.approx([2.2 * score for score in theirs], rel=1e-4)  # tantivy keeps BM25's factor k1 + 1
        assert store.search_ids(ask(question, 100))[1] == sorted((score for score in mine if score > 0), reverse=True)
    assert store.idf(["w1", "none"]) == pytest.approx(other.idf(["w1", "none"]))


def test_stop_words_alone_find_nothing(store: Any, ask: Any) -> None:
    assert store.search_ids(ask("the of", 100)) == ([], [])
    assert store.score_ids("the of", ["a"]) == [0.0]


@pytest.mark.parametrize("ids", ["uuids", "names"])
def test_ties_come_in_the_order_of_the_ids(ids: str, tmp_path: Path, node: Any, ask: Any) -> None:
    from uuid import UUID

    names = [str(UUID(int=i << 60)) if ids == "uuids" else f"n{i:04}" for i in range(600)]
    store = opened(tmp_path)
    for start in range(0, 600, 60):  # in many segments, and none of them in order
        store.add([node(id_, "same words") for id_ in reversed(names[start::7][:20])])
    held = sorted(store.ids())
    store.upsert([node("above", "same same same words")])
    store.flush()
    for k in (1, 7, 100, 150):
        assert store.search_ids(ask("same", k))[0] == ["above", *held][:k]


def test_an_id_of_any_form_is_kept(tmp_path: Path, node: Any, ask: Any) -> None:
    upper = "A0000000-0000-4000-8000-000000000000"
    names = ["x", "a b/ü\n", upper, upper.lower(), "\ud800 half", "long" * 20_000, '"quoted"', "#"]
    store = filled(tmp_path, node, dict.fromkeys(names, "common"))
    assert sorted(store.ids()) == sorted(names)
    assert store.search_ids(ask("common", 100))[0] == sorted(names)
    store.delete_nodes([upper])
    store.delete(f"doc-{names[-3]}")
    store.flush()
    assert sorted(store.ids()) == sorted({*names} - {upper, names[-3]})


# Writing


def test_an_upsert_replaces_and_a_delete_removes_at_the_next_flush(store: Any, node: Any, ask: Any) -> None:
    store.upsert([node("a", "green frogs"), node("f", "a new fish")])
    store.delete_nodes(["b", "unknown"])
    assert store.search_ids(ask("fish"))[0] == ["a", "b"]
    assert store.count() == 5
    store.flush()
    assert store.search_ids(ask("fish"))[0] == ["f"]
    assert store.search_ids(ask("frog"))[0] == ["a"]
    assert sorted(store.ids()) == ["a", "c", "d", "e", "f"]


def test_deletes_a_document_that_waits_too(store: Any, node: Any) -> None:
    store.upsert([node("z", "waiting", document="doc-c"), node("a", "moved", document="elsewhere")])
    store.delete("doc-c")
    store.delete("doc-a")
    store.flush()
    assert sorted(store.ids()) == ["a", "b", "d", "e"]


def test_everything_is_gone_through_in_parts(tmp_path: Path, node: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ragkit_tantivy.searching._PAGE", 1)
    names = [f"n{i:03}" for i in range(1_000)]
    store = filled(tmp_path, node, dict.fromkeys(names, "common"), merge_deleted=0.1)
    assert sorted(store.ids()) == names
    store.delete_nodes(names[:300])
    store.flush()
    assert sorted(store.ids()) == names[300:]
    store.clear()
    assert list(store.ids()) == []


@pytest.mark.parametrize("large", [False, True])
def test_many_changes_do_not_wait_in_memory(large: bool, tmp_path: Path, node: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ragkit_tantivy.store.MOST_PENDING", 300_000)
    store = opened(tmp_path)
    for start in range(0, 700, 100):
        store.upsert([node(f"n{i}", "common " * (1_000 if large else 1)) for i in range(start, start + 100)])
        waiting = start + 100 - store.count()
        assert waiting < (100 if large else 300)
    store.flush()
    assert store.count() == 700


@pytest.mark.parametrize("merge_deleted", [0.2, 1.0])
def test_deleted_texts_do_not_weigh_on_the_scores_beyond_the_bound(
    merge_deleted: float, tmp_path: Path, node: Any, ask: Any
) -> None:
    texts = {f"n{i:03}": f"common rare{i % 9} {'filler ' * (i % 60)}" for i in range(200)}
    store = filled(tmp_path / "changed", node, texts, merge_deleted=merge_deleted)
    store.upsert([node(f"n{i:03}", "common rare1 replaced") for i in range(30)])
    store.delete_nodes([f"n{i:03}" for i in range(180, 200)])
    store.flush()
    left = {**texts, **{f"n{i:03}": "common rare1 replaced" for i in range(30)}}
    fresh = filled(tmp_path / "fresh", node, {id_: text for id_, text in left.items() if id_ < "n180"})
    assert store.count() == fresh.count() == 180
    same = merge_deleted < 1
    for question in ("common", "rare1 replaced", "rare3 filler common"):
        assert (store.search_ids(ask(question, 300)) == fresh.search_ids(ask(question, 300))) == same, question
        asked = [f"n{i:03}" for i in range(200)]
        assert (store.score_ids(question, asked) == fresh.score_ids(question, asked)) == same, question
    assert (store.idf(["rare1", "common"]) == fresh.idf(["rare1", "common"])) == same
    assert sorted(store.ids()) == sorted(fresh.ids())
    store.delete("d")
    store.delete_nodes(list(store.ids()))
    store.flush()
    assert (store.count(), store.search_ids(ask("common"))) == (0, ([], []))


def test_files_that_other_processes_wrote_are_cleaned_up(tmp_path: Path, node: Any) -> None:
    """tantivy forgets a file that another process wrote after it opened the index, and would never remove it."""
    one, other = opened(tmp_path), opened(tmp_path)
    for writer in (one, other, *[one] * 20, *[other] * 20):
        writer.add([node(f"n{i}", f"common {i}") for i in range(13)])
    assert one.count() == other.count() == 13
    segments = json.loads((tmp_path / "index" / "meta.json").read_text())["segments"]
    names = {segment["segment_id"].replace("-", "") for segment in segments}
    kept = {path.name.split(".")[0] for path in (tmp_path / "index").iterdir() if not path.name.startswith((".", "meta"))}
    assert kept == names


def test_a_dropped_index_leaves_no_file_and_other_readers_see_the_next(store: Any, context: FakeContext, node: Any) -> None:
    reader = opened(context.folder)
    assert reader.count() == 5
    store.mark({"owner": "uuid"})
    store.drop()
    assert (store.marker(), store.count(), list(context.folder.iterdir())) == (None, 0, [])
    store.add([node("new", "another index")])
    assert list(reader.ids()) == ["new"]
    reader.add([node("newer", "words")])
    assert sorted(store.ids()) == ["new", "newer"]


# Filters


def only(key: str, operator: str, value: Any = None) -> Any:
    from llama_index.core.vector_stores.types import FilterOperator, MetadataFilter, MetadataFilters

    return MetadataFilters(filters=[MetadataFilter(key=key, operator=FilterOperator(operator), value=value)])


def test_tells_which_filters_it_evaluates(tmp_path: Path, node: Any, ask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ragkit_tantivy.where.MOST_VALUES", 50)
    store = opened(tmp_path)
    long = "x" * 1_000
    store.upsert([node(f"n{i:03}", "common", uri=f"{i}.md", year=2000 + i % 10, note=long if i == 3 else "") for i in range(100)])
    store.flush()
    for filters, evaluates, found in (
        (only("year", ">=", 2008), True, 20),
        (only("year", "nin", [2008, 2009]), True, 80),
        (only("uri", "==", "7.md"), True, 1),
        (only("uri", "in", ["7.md", "8.md", "x"]), True, 2),
        (only("uri", "contains", "7.m"), False, 10),
        (only("note", "==", long), True, 1),
        (only("note", "text_match", "xx"), False, 1),
        (only("note", "is_empty"), True, 99),
        (only("missing", "<", 3), True, 0),
    ):
        assert store.evaluates(filters) == evaluates, filters
        assert len(store.search_ids(ask("common", 200, filters=filters))[0]) == found, filters
    from llama_index.core.vector_stores.types import MetadataFilters

    both = MetadataFilters(filters=[*only("year", "==", 2007).filters, *only("uri", "contains", "7.m").filters])
    assert not store.evaluates(both)
    assert len(store.search_ids(ask("common", 200, filters=both))[0]) == 10


def test_a_part_that_it_evaluates_narrows_the_candidates(
    tmp_path: Path, node: Any, ask: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others are looked at one by one, of a bounded number: these have to be the ones that pass the rest."""
    from llama_index.core.vector_stores.types import MetadataFilters

    monkeypatch.setattr("ragkit_tantivy.where.MOST_VALUES", 50)
    store = opened(tmp_path)
    store.upsert([node(f"n{i:05}", "common", uri=f"{i}.md", rare=i > 10_990) for i in range(11_000)])
    store.flush()
    both = MetadataFilters(filters=[*only("rare", "==", 1).filters, *only("uri", "contains", ".md").filters])
    assert len(store.search_ids(ask("common", 5, filters=both))[0]) == 5
    assert sorted(store.passing(both, None)) == [f"n{i}" for i in range(10_991, 11_000)]


def test_deletes_what_a_filter_lets_pass(tmp_path: Path, node: Any) -> None:
    store = opened(tmp_path)
    store.upsert([node(f"n{i}", "common", kind="post" if i % 2 else "page", note="x" * 500) for i in range(6)])
    store.flush()
    store.delete_nodes(["n0", "n1"], only("kind", "==", "post"))
    store.delete_nodes(None, only("note", "text_match", "y"))
    store.flush()
    assert sorted(store.ids()) == ["n0", "n2", "n3", "n4", "n5"]
    store.delete_nodes(None, only("kind", "==", "post"))
    store.flush()
    assert sorted(store.ids()) == ["n0", "n2", "n4"]


def test_restricts_to_ids_and_documents(store: Any, ask: Any) -> None:
    assert store.search_ids(ask("fish blue", node_ids=["b", "c"]))[0] == ["b", "c"]
    assert store.search_ids(ask("fish", doc_ids=["doc-a"]))[0] == ["a"]
    assert store.search_ids(ask("fish", node_ids=[])) == ([], [])
    free = dict(zip(*store.search_ids(ask("fish")), strict=True))
    assert store.search_ids(ask("fish", doc_ids=["doc-a"]))[1] == [free["a"]]


# Settings


@pytest.mark.parametrize("key", ["k1", "b"])
def test_check_refuses_what_tantivy_cannot_be_told(key: str, tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    file = tmp_path / "ragkit.yaml"
    file.write_text(f"sources: [{{use: files, path: docs}}]\nembedding: fake\nkeyword_store: {{use: tantivy, {key}: 0.9}}\n")
    with pytest.raises(ConfigError, match=rf"ragkit.yaml:3:\d+: keyword_store\.{key}: .*unknown"):
        load(file, Host(plugins=[plugin]))


def test_other_options_are_refused(store: Any, context: FakeContext) -> None:
    with pytest.raises(ComponentError, match="was built with"):
        opened(context.folder, language="de").count()
    assert opened(context.folder, merge_deleted=0.5, memory_mb=16, timeout=0).count() == 5


# Damage, locks, kills


def test_a_flush_syncs_the_name_of_the_commit(
    store: Any, context: FakeContext, node: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[Path, int]] = []
    monkeypatch.setattr("ragkit_tantivy.folder.sync", lambda folder: synced.append((folder, store.count())))
    store.add([node("f", "another")])
    assert synced[-1:] == [(context.folder / "index", 6)]


@pytest.mark.parametrize("name", ["meta.json", "*.term", "*.store"])
def test_a_damaged_index_says_how_to_mend_it(name: str, store: Any, context: FakeContext, node: Any) -> None:
    (path,) = (context.folder / "index").glob(name)
    path.write_bytes(b"neither JSON nor a segment")
    again = opened(context.folder)
    with pytest.raises(ComponentError, match=r"is damaged.*\n.*ragkit views repair"):
        again.count()
    with pytest.raises(ComponentError, match="is damaged"):
        again.add([node("x", "words")])
    again.drop()
    again.add([node("x", "words")])
    assert list(again.ids()) == ["x"]


def test_two_writers_wait_for_each_other_and_the_error_names_the_holder(
    child: Callable[..., subprocess.Popen[str]], tmp_path: Path, node: Any, ask: Any
) -> None:
    store = filled(tmp_path, node, TEXTS)
    other = child("""
        store = opened()
        def pause():
            print("writing", flush=True)
            sys.stdin.readline()
        at("tantivy.commit", pause)
        store.add([node("theirs", "their fish")])
        print("done", flush=True)
    """)
    assert other.stdout is not None
    assert other.stdin is not None
    assert other.stdout.readline() == "writing\n"
    impatient = opened(tmp_path, timeout=0)
    impatient.upsert([node("mine", "my fish")])
    with pytest.raises(ComponentError, match=rf"{tmp_path} is being written by process {other.pid}\n.*wait until it is done"):
        impatient.flush()
    assert sorted(impatient.search_ids(ask("fish"))[0]) == ["a", "b"]
    other.stdin.write("\n")
    other.stdin.flush()
    store.add([node("patient", "patient fish")])
    impatient.flush()
    assert other.stdout.readline() == "done\n"
    assert sorted(store.search_ids(ask("fish"))[0]) == ["a", "b", "mine", "patient", "theirs"]


@pytest.mark.parametrize(
    ("boundary", "after"),
    [("tantivy.index.json", 0), ("tantivy.commit", 50), ("tantivy.committed", 70), ("tantivy.rewritten", 70)],
)
def test_a_kill_leaves_one_commit_or_the_other_and_no_lock(
    boundary: str, after: int, child: Callable[..., subprocess.Popen[str]], tmp_path: Path, node: Any, ask: Any
) -> None:
    if after:
        filled(tmp_path, node, {f"n{i:02}": "old words" for i in range(50)})
    died = child(f"""
        store = opened(merge_deleted=0.1)
        at({boundary!r}, die)
        store.upsert([node(f"n{{i:02}}", "new words") for i in range(20, 70)])
        store.flush()
    """)
    assert died.wait() == -signal.SIGKILL
    store = opened(tmp_path, timeout=0)
    assert store.count() == after
    assert len(store.search_ids(ask("new", 100))[0]) == (50 if after == 70 else 0)
    store.upsert([node(f"n{i:02}", "new words") for i in range(20, 70)])
    store.flush()
    assert len(store.search_ids(ask("new", 100))[0]) == 50
    assert store.count() == (70 if after else 50)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("dropped")] == []


def test_a_full_disk_leaves_the_last_commit(store: Any, context: FakeContext, node: Any, ask: Any) -> None:
    """A limit on the size of files stands for the disk; what could not be written waits for the next flush."""
    import resource

    store.upsert([node(f"n{i}", " ".join(f"fish{i}x{j}" for j in range(2_000))) for i in range(20)])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(ComponentError, match=r"cannot be written.*\n.*disk"):
            store.flush()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, ignored)
    assert (store.count(), opened(context.folder).count()) == (5, 5)
    store.flush()
    assert store.count() == 25
    assert store.search_ids(ask("fish3x7"))[0] == ["n3"]


def test_one_process_updates_and_deletes_while_another_searches(
    child: Callable[..., subprocess.Popen[str]], tmp_path: Path, node: Any, ask: Any
) -> None:
    """Through many merges and rewrites: after the writer has told, neither a deleted chunk nor its former text comes back."""
    store = filled(tmp_path, node, {f"n{i:03}": f"common before{i}" for i in range(120)})
    other = child("""
        store = opened(merge_deleted=0.15)
        for i in range(60):
            store.upsert([node(f"n{i:03}", f"common after{i}")])
            store.delete_nodes([f"n{i + 60:03}"])
            store.flush()
            print(i, flush=True)
    """)
    assert other.stdout is not None
    for line in other.stdout:
        done = int(line)
        common = store.search_ids(ask("common", 500))[0]
        assert {f"n{i:03}" for i in range(60)} <= {*common}
        assert not {f"n{i + 60:03}" for i in range(done + 1)} & {*common}
        assert store.search_ids(ask(f"before{done} before{done + 60}"))[0] == []
        assert store.search_ids(ask(f"after{done}"))[0] == [f"n{done:03}"]
        assert store.score_ids("common", [f"n{done + 60:03}"]) == [0.0]
    assert other.wait() == 0
    assert store.count() == 60
