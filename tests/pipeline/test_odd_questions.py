"""Questions that say little or nothing, over the default stores: each has hits, or says why not, and is answered or declined."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from projects import Project

from ragkit import Pipeline
from ragkit.errors import QueryError

PAGES = {
    "leave.md": "# Leave\n\nEvery employee has 28 days of paid leave in a year. Leave is requested from the team lead.\n",
    "travel.md": "# Travel\n\nTrain tickets are booked in first class. Flights need the consent of the director.\n",
    "same.md": "# Same\n\nNothing new here.\n",
    "equal.md": "# Same\n\nNothing new here.\n",
}
ODD = {
    "stop words": "what is the of and to",
    "emoji": "🙂🎉👩‍👧",
    "punctuation": "?!… — ___",
    "one character": "x",
    "another script": "员工有多少天的假期？",
    "control characters": "leave\x00\x07\u200b days",
    "as long as allowed": "days " * 6_000,
    "quotes of a query language": 'AND OR NOT ( "leave* ~2 [a TO b] \\ id:1',
    "half a surrogate pair": "leave \ud83d days",
}


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    project = Project(tmp_path_factory.mktemp("odd"), size=20)
    for name, text in PAGES.items():
        project.write(name, text)
    with project.open() as opened:
        opened.ingest()
        yield opened


@pytest.mark.parametrize("retriever", ["hybrid", "dense", "keyword"])
@pytest.mark.parametrize("what", ODD)
def test_an_odd_question_has_hits_or_says_why_not(pipeline: Pipeline, what: str, retriever: str) -> None:
    alpha = {"hybrid": None, "dense": 1.0, "keyword": 0.0}[retriever]
    found = pipeline.search(ODD[what], k=3, alpha=alpha)
    assert [hit.score for hit in found.hits] == sorted((hit.score for hit in found.hits), reverse=True)
    assert len(found.hits) == 3 or retriever == "keyword"
    if retriever == "hybrid" and not any("keyword" in hit.ranks for hit in found.hits):
        assert "keyword found nothing" in next(stage.detail for stage in found.trace.stages if stage.name == "fused")
    assert [hit.chunk_id for hit in pipeline.search(ODD[what], k=3, alpha=alpha).hits] == [hit.chunk_id for hit in found.hits]


@pytest.mark.parametrize("what", ODD)
def test_an_odd_question_is_answered_or_declined(pipeline: Pipeline, what: str) -> None:
    answer = pipeline.ask(ODD[what])
    assert answer.text
    assert answer.abstained is (not answer.citations)


def test_equal_scores_have_a_stable_order(pipeline: Pipeline) -> None:
    found = pipeline.search("Nothing new here", k=2)
    assert {hit.uri for hit in found.hits} == {"same.md", "equal.md"}
    assert found.hits[0].score == found.hits[1].score
    assert all(pipeline.search("Nothing new here", k=2).hits == found.hits for _ in range(3))


def test_an_unknown_key_finds_nothing_and_is_told(pipeline: Pipeline) -> None:
    found = pipeline.search("paid leave", filters="yaer >= 2020")
    assert found.hits == ()
    assert "no chunk has the key 'yaer'" in found.trace.stages[-1].detail


@pytest.mark.parametrize("alpha", [1.5, -1, "most", float("nan")])
def test_a_weight_that_is_none_is_refused(pipeline: Pipeline, alpha: object) -> None:
    with pytest.raises(QueryError, match="it must be a number from 0"):
        pipeline.search("paid leave", alpha=alpha)
