"""Evaluating: which document a hit counts for, how far it searches, what is not measured, and what is kept."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from ragkit import Pipeline
from ragkit.errors import DatasetError
from ragkit.evaluate import Dataset, Evaluation, Query, Relevant, against, compare, evaluate, read_baseline, save

Beir = Callable[..., Path]
Open = Callable[..., Pipeline]
ANIMALS = ("heron", "otter", "beaver", "salmon", "newt", "swan", "pike", "vole")
PAGES = [{"uri": "a/heron.md", "text": "The heron waits."}, {"uri": "otter.md", "text": "The otter plays."}]
FILES = f"[{{use: memory, name: pages, documents: {json.dumps(PAGES)}}}]"


def record(number: int, sentences: int = 1) -> dict[str, str]:
    animal = ANIMALS[number % len(ANIMALS)]
    text = " ".join(f"The {animal} number {number} swims in pond {at} at dawn." for at in range(sentences))
    return {"_id": str(number), "title": f"{animal.title()} {number}", "text": text}


def ask(text: str, *relevant: Relevant, key: str = "q") -> Dataset:
    return Dataset("asked", (Query(key, text, relevant),))


def test_a_beir_folder_from_end_to_end(beir: Beir, open_index: Open) -> None:
    queries = {str(number): f"the {animal} number {number}" for number, animal in enumerate(ANIMALS)}
    folder = beir([record(number) for number in range(8)], queries, {key: {key: 1} for key in queries})
    told: list[tuple[str, int, int | None]] = []
    with open_index(folder / "corpus.jsonl") as pipeline:
        found = evaluate(pipeline, folder, progress=lambda stage, done, total, detail="": told.append((stage, done, total)))
    assert isinstance(found, Evaluation)
    assert (found.queries, found.dataset, found.name, found.notes) == (8, "ponds/test", "ponds", ())
    assert list(found.metrics) == ["ndcg@10", "recall@10", "recall@100", "precision@10", "mrr@10", "map@100"]
    assert found.metrics["ndcg@10"].mean == 1.0
    assert found.metrics["ndcg@10"].ci95 == (1.0, 1.0)
    assert found.metrics["precision@10"].mean == pytest.approx(0.1)
    assert 0 < found.latency_ms.p50 <= found.latency_ms.p95
    assert told[-1] == ("questions", 8, 8)
    assert [query.ranking[0][0] for query in found.per_query] == list(queries)
    document = json.loads(json.dumps(found.to_dict()))
    assert document["queries"] == 8
    assert document["metrics"]["ndcg@10"]["mean"] == 1.0
    assert set(document["latency_ms"]) == {"p50", "p95"}


def test_it_searches_until_there_are_enough_distinct_documents(
    beir: Beir, open_index: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    documents = [record(0, 40), *(record(number) for number in range(1, 8))]
    folder = beir(documents, {"a": "the heron number 0 swims"}, {"a": {"0": 1, "5": 1}})
    asked: list[int] = []
    with open_index(folder / "corpus.jsonl", more="top_k: 1") as pipeline:
        search = pipeline.search
        monkeypatch.setattr(pipeline, "search", lambda text, k: asked.append(k) or search(text, k=k))
        found = evaluate(pipeline, folder, metrics=["recall@4"])
        assert len(pipeline.search("the heron number 0 swims", k=4).nodes) == 4
        few = evaluate(pipeline, folder, metrics=["recall@100"])
    (query,) = found.per_query
    assert asked[:4] == [4, 4, 8, 16]  # the first is the warm-up
    assert len(query.ranking) == 4
    assert len({name for name, _ in query.ranking}) == 4
    assert query.ranking[0][0] == "0"
    scores = [value for _, value in query.ranking]
    assert scores == sorted(scores, reverse=True)
    assert len(few.per_query[0].ranking) == 8  # there are no more
    assert few.metrics["recall@100"].mean == 1.0


def test_documents_match_by_record_id_else_by_uri(beir: Beir, open_index: Open) -> None:
    folder = beir([record(0), record(1)], {"a": "x"}, {"a": {"0": 1}})
    with open_index(folder / "corpus.jsonl") as pipeline:
        for name in ("1", "corpus.jsonl#1"):
            found = evaluate(pipeline, ask("the otter number 1", Relevant("document", name)), metrics=["mrr@10"])
            assert found.metrics["mrr@10"].mean == 1.0
            assert found.per_query[0].ranking[0][0] == name


def test_documents_of_files_match_by_uri(open_index: Open) -> None:
    with open_index(sources=FILES) as pipeline:
        found = evaluate(pipeline, ask("the heron waits", Relevant("any", "a/heron.md")))
    assert found.metrics["mrr@10"].mean == 1.0
    assert found.metrics["mrr@10"].ci95 is None  # of one question nothing is known


def test_chunks_and_quotes(beir: Beir, open_index: Open) -> None:
    folder = beir([record(0, 12), record(1, 12)], {"a": "x"}, {"a": {"0": 1}})
    with open_index(folder / "corpus.jsonl") as pipeline:
        chunk = pipeline.search("otter pond 3", k=1).nodes[0].node.node_id
        found = evaluate(pipeline, ask("otter pond 3", Relevant("any", chunk)), metrics=["mrr@10"])
        assert found.metrics["mrr@10"].mean == 1.0
        assert found.per_query[0].ranking[0][0] == chunk

        quote = "The otter number 1 swims  in pond 3"
        for item in (Relevant("any", quote), Relevant("passage", "", 1, quote), Relevant("passage", "1", 1, quote)):
            found = evaluate(pipeline, ask("otter pond 3", item), metrics=["mrr@10", "span_recall@24", "span_iou@1"])
            assert found.metrics["mrr@10"].mean == 1.0
            assert found.metrics["span_recall@24"].mean == 1.0
            assert 0 < found.metrics["span_iou@1"].mean < 1
        both = ask("otter", Relevant("chunk", chunk), Relevant("document", "1"))
        with pytest.raises(DatasetError, match="by chunks and by documents"):
            evaluate(pipeline, both)


def test_passages_of_files_by_the_name_of_the_file(open_index: Open) -> None:
    with open_index(sources=FILES) as pipeline:
        for within in ("", "heron", "a/heron.md"):
            found = evaluate(pipeline, ask("the heron waits", Relevant("passage", within, 1, "heron waits", 4, 15)))
            assert found.metrics["ndcg@10"].mean == 1.0
            assert found.metrics["span_recall@5"].mean == 1.0
            assert found.notes == ()


def test_what_cannot_be_measured_is_none_and_not_zero(open_index: Open) -> None:
    with open_index(sources=FILES) as pipeline:
        found = evaluate(pipeline, ask("the heron waits", Relevant("document", "otter.md")), metrics=["ndcg@1", "span_recall@5"])
    assert found.metrics["span_recall@5"] is None
    assert found.metrics["ndcg@1"].mean == 0.0
    assert found.to_dict()["metrics"]["span_recall@5"] is None


def test_unknown_documents_are_counted_and_count_as_not_found(open_index: Open) -> None:
    with open_index(sources=FILES) as pipeline:
        found = evaluate(pipeline, ask("the heron waits", Relevant("any", "a/heron.md"), Relevant("any", "gone.md")))
        assert found.metrics["recall@10"].mean == 0.5
        assert found.notes == ("1 of the 2 judged items are not in the index, 'gone.md' for one; they count as not found",)
        with pytest.raises(DatasetError, match="none of the 1 judged items"):
            evaluate(pipeline, ask("the heron", Relevant("any", "gone.md")))


def test_the_worst_questions_keep_their_traces(beir: Beir, open_index: Open) -> None:
    queries = {str(number): f"the {animal} number {number}" for number, animal in enumerate(ANIMALS)}
    qrels = {key: {key: 1} for key in queries} | {"3": {"4": 1}, "5": {"5": 0}}
    folder = beir([record(number) for number in range(8)], queries, qrels)
    with open_index(folder / "corpus.jsonl") as pipeline:
        found = evaluate(pipeline, folder, limit=6)
    assert [example.query.id for example in found.worst] == ["3", "0", "1", "2", "4"]  # nothing is relevant to 5
    assert found.worst[0].found.trace.stages


def test_comparing_saving_and_holding_against(beir: Beir, open_index: Open, tmp_path: Path) -> None:
    queries = {str(number): f"the {animal} number {number}" for number, animal in enumerate(ANIMALS)}
    folder = beir([record(number) for number in range(8)], queries, {key: {key: 1} for key in queries})
    with open_index(folder / "corpus.jsonl") as pipeline:
        good = evaluate(pipeline, folder)
        wrong = {key: {str((int(key) + 1) % 8): 1} for key in queries}
        bad = evaluate(pipeline, beir([record(number) for number in range(8)], queries, wrong))
    same, better = compare(good, good), compare(good, bad)
    assert {(item.mean, item.p, item.ties) for item in same.differences.values()} == {(0.0, 1.0, 8)}
    difference = better.differences["ndcg@10"]
    assert difference.mean > 0
    assert difference.gains == 8
    assert difference.p < 0.05
    assert better.per_query("ndcg@10")[0][2] >= better.per_query("ndcg@10")[-1][2]

    save(good, tmp_path / "run")
    baseline = read_baseline(tmp_path / "run" / "eval.json")
    assert len(baseline["per_query"]) == 8
    assert not any(change.fell for change in against(good, baseline, 0.0))
    fell = {change.metric for change in against(bad, baseline, 0.05) if change.fell}
    assert "mrr@10" in fell
    assert "recall@10" not in fell
    assert not any(change.fell for change in against(bad, baseline, None))


def test_a_saved_run_gives_the_same_numbers_elsewhere(beir: Beir, open_index: Open, tmp_path: Path) -> None:
    import pytrec_eval

    documents = [{**record(number), "_id": f"page {number}%"} for number in range(8)]
    queries = {f"q {number}": "the heron swims in pond" for number in range(3)}
    folder = beir(documents, queries, {key: {"page 3%": 2, "page 6%": 1} for key in queries})
    with open_index(folder / "corpus.jsonl") as pipeline:
        found = evaluate(pipeline, folder)
    save(found, tmp_path)
    with (tmp_path / "run.trec").open() as run, (tmp_path / "qrels.trec").open() as qrels:
        theirs = pytrec_eval.RelevanceEvaluator(pytrec_eval.parse_qrel(qrels), {"ndcg_cut.10"}).evaluate(
            pytrec_eval.parse_run(run)
        )
    assert set(theirs) == {"q%200", "q%201", "q%202"}
    for query in found.per_query:
        assert query.metrics["ndcg@10"] == pytest.approx(theirs[query.id.replace(" ", "%20")]["ndcg_cut_10"])
