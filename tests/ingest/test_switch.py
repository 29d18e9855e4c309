"""Generations at work: the old index answers while the new one is built, then the switch, then the old one goes."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from projects import Project, texts

from ragkit.errors import LockedError, MismatchError
from ragkit.pipeline import Pipeline

CHANGES = {
    "another chunk size": {"size": 20},
    "another model": {"more": "embedding: {use: fake, seed: 7}"},
    "another identity option": {"more": "vector_store: {use: faiss, m: 24}"},
    "another keyword option": {"more": "keyword_store: {use: bm25, b: 0.5}"},
}


def configure(project: Project, **change: object) -> None:
    project.configure(**change)  # type: ignore[arg-type]
    if "embedding:" in str(change.get("more")):
        project.config.write_text(project.config.read_text().replace("embedding: fake\n", ""))


class Load:
    """Threads that search without pause and note what they got."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        self.generations: list[int] = []
        self.refused: list[str] = []
        self.failed: list[BaseException] = []

    @contextmanager
    def running(self, threads: int = 3) -> Iterator[None]:
        stop = threading.Event()

        def work() -> None:
            while not stop.is_set():
                try:
                    result = self.pipeline.search("How many bridges has the river number 4?")
                    assert len(result.hits) == 5
                    self.generations.append(result.trace.generation)
                except MismatchError as error:
                    self.refused.append(str(error))
                except BaseException as error:
                    self.failed.append(error)
                time.sleep(0.002)

        workers = [threading.Thread(target=work) for _ in range(threads)]
        for worker in workers:
            worker.start()
        try:
            yield
        finally:
            stop.set()
            for worker in workers:
                worker.join()


@pytest.mark.parametrize("change", CHANGES)
def test_the_old_generation_answers_until_the_switch(project: Project, change: str) -> None:
    for number, text in enumerate(texts(30)):
        project.write(f"river{number}.md", text)
    project.ingest()
    with project.open() as old:
        old.search("warm up")
        configure(project, **CHANGES[change])
        load = Load(old)
        with load.running(), project.open() as new:
            with pytest.raises(MismatchError, match="differs from this configuration in") as refused:
                new.search("How many bridges?")
            assert "ragkit ingest" in refused.value.cure
            report = new.ingest()
            assert new.search("How many bridges?").trace.generation == 2
            deadline = time.monotonic() + 10
            while not load.refused and time.monotonic() < deadline:
                time.sleep(0.01)
        assert not load.failed, load.failed[:3]
        assert set(load.generations) == {1}, "a process never mixes generations, nor answers from one that it was not made for"
        assert load.refused, "it sees the switch and says so"
    assert report.exit_status == 0
    with project.open() as pipeline:
        pipeline.ingest()
        status = pipeline.status()
        assert {view.generation for view in status.views} == {2}, "the old one has gone"
        assert all(view.state == "complete" for view in status.views)
    folders = [path.name for path in (project.folder / ".ragkit" / "views").iterdir()]
    assert len(folders) == 2, folders


def test_a_store_swap_shares_chunks_and_embeds_nothing(project: Project) -> None:
    for number, text in enumerate(texts(8)):
        project.write(f"river{number}.md", text)
    first = project.ingest()
    project.configure(more="vector_store: {use: memory}")
    for path in project.docs.iterdir():
        path.rename(path.with_suffix(".hidden"))  # no source is needed
    report = project.ingest(views_only=True)
    assert (report.embedded, report.cache_hits) == (0, first.chunks["total"])
    assert (report.chunks["added"], report.chunks["removed"]) == (0, 0)
    ledger, vector, keyword = project.ids()
    assert ledger == vector == keyword
    assert project.hits("How many bridges has the river number 4?")


def test_a_process_made_for_the_new_configuration_answers_after_the_switch(project: Project) -> None:
    project.write("a.md", next(texts(1)))
    with project.open() as waiting:
        with pytest.raises(MismatchError, match="nothing has been ingested yet"):
            waiting.search("river")
        project.ingest()
        assert waiting.search("river").trace.generation == 1


def test_a_runtime_option_changes_no_generation(project: Project) -> None:
    project.write("a.md", next(texts(1)))
    project.ingest()
    project.configure(more="vector_store: {use: faiss, ef_search: 50}\nretriever: {use: hybrid, alpha: 0.2}\ntop_k: 3")
    assert project.hits("river")
    assert project.ingest().embedded == 0


def test_a_second_ingest_is_refused_and_names_the_first(project: Project) -> None:
    project.write("a.md", next(texts(1)))
    with project.open() as pipeline:
        lock = pipeline._index.ledger.lock("ingest", "the ingest of this state")
        with lock.hold(), pytest.raises(LockedError, match=r"the ingest of this state is in use by process \d+"):
            project.ingest()
    assert project.ingest().exit_status == 0


def test_an_interrupted_build_is_taken_up_again(project: Project) -> None:
    for number, text in enumerate(texts(8)):
        project.write(f"river{number}.md", text)
    project.ingest()
    project.configure(size=20)

    class Stop(Exception):
        pass

    def stop(stage: str, done: int, total: int | None, detail: str = "") -> None:
        if stage == "keyword":
            raise Stop

    with pytest.raises(Stop):
        project.ingest(progress=stop)
    with pytest.raises(MismatchError):
        project.hits("river")
    report = project.ingest()
    assert report.embedded == 0, "what was embedded before the interruption is in the cache"
    assert project.hits("How many bridges has the river number 4?")
    with project.open() as pipeline:
        assert [run["status"] for run in pipeline.runs()] == ["done", "failed", "done"]
