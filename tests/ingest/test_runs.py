"""What is recorded of every ingest."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from projects import Project, texts

from ragkit.errors import StateError
from ragkit.ingest.report import percentiles


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = Project(tmp_path, size=20)
    for number, text in enumerate(texts(6)):
        made.write(f"page{number}.md", f"---\nauthor: {'Ada' if number % 2 else 'Ben'}\ncategory: article\n---\n{text}")
    return made


def test_a_run_tells_what_it_did(project: Project) -> None:
    report = project.ingest()
    with project.open() as pipeline:
        (run,) = pipeline.runs()
        assert pipeline.run(run["id"]) == run
    assert run["status"] == "done"
    assert run["finished"] >= run["started"]
    told = run["report"]
    assert told["documents"] == {"added": 6, "updated": 0, "unchanged": 0, "removed": 0, "failed": 0}
    assert told["sources"] == {"docs": {"added": 6}}
    assert (told["categories"], told["authors"]) == ({"article": 6}, {"Ada": 3, "Ben": 3})
    assert 0 < told["chunk_tokens"]["min"] <= told["chunk_tokens"]["p50"] <= told["chunk_tokens"]["max"] <= 20 + 40
    assert set(told["stages"]) == {"reading", "cutting", "embedding", "ledger", "vector", "keyword"}
    assert told["embedded"] == report.embedded > 0


def test_runs_are_listed_newest_first_and_told_apart(project: Project) -> None:
    project.ingest()
    project.write("page1.md", "# Other\n\nAnother text altogether.\n")
    (project.docs / "page2.md").unlink()
    project.write("bad.md", "fine")
    project.write("binary.md", "\x00\x01\x02" * 400)
    project.ingest()
    project.configure(size=30)
    project.ingest()
    with project.open() as pipeline:
        third, second, first = pipeline.runs()
        assert pipeline.runs(limit=1) == [third]
    assert [run["id"] for run in (first, second, third)] == [1, 2, 3]
    assert second["report"]["sources"]["docs"] == {"added": 1, "updated": 1, "unchanged": 4, "removed": 1, "failed": 1}
    assert second["status"] == "part"
    assert first["fingerprint"] == second["fingerprint"] != third["fingerprint"]


def test_a_run_that_fails_is_recorded_too(project: Project) -> None:
    project.ingest()
    with project.open() as pipeline:
        pipeline._index._ingest = None  # type: ignore[assignment, method-assign]  # what calls it fails
        with pytest.raises(TypeError):
            pipeline.ingest()
        assert [run["status"] for run in pipeline.runs()] == ["failed", "done"]
        assert "TypeError" in pipeline.runs()[0]["report"]["error"]


def test_a_run_that_there_is_none_of(project: Project) -> None:
    project.ingest()
    with project.open() as pipeline, pytest.raises(StateError, match="no run 7"):
        pipeline.run(7)


@given(st.lists(st.integers(0, 300), min_size=1, max_size=200))
def test_percentiles_are_those_of_the_sorted_numbers(numbers: list[int]) -> None:
    ordered = sorted(numbers)
    found = percentiles(Counter(numbers))
    assert (found["min"], found["max"]) == (ordered[0], ordered[-1])
    for name, share in (("p50", 50), ("p90", 90), ("p99", 99)):
        at_most = sum(number <= found[name] for number in numbers)
        below = sum(number < found[name] for number in numbers)
        assert at_most * 100 >= share * len(numbers) > below * 100


def test_no_numbers_have_no_percentiles() -> None:
    assert percentiles({}) == {}
