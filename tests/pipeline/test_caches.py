"""The caches of a pipeline: what the YAML says of them, what an ingest tells, and what clearing spares."""

from __future__ import annotations

from pathlib import Path

import pytest
from projects import Project, texts
from redis_server import redis_server

from ragkit.errors import ConfigError


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = Project(tmp_path / "here")
    for number, text in enumerate(texts(6)):
        made.write(f"page{number}.md", text)
    return made


def test_a_second_store_is_filled_from_memory(project: Project) -> None:
    with project.open() as pipeline:
        first = pipeline.ingest()
        for page in project.docs.iterdir():
            page.rename(page.with_name(f"moved-{page.name}"))
        moved = pipeline.ingest(allow_removals=True)
    assert (first.embedded, first.cache_hits, first.cache) == (first.chunks["total"], 0, {"memory": 0, "disk": 0})
    assert (moved.embedded, moved.cache) == (0, {"memory": first.embedded, "disk": 0})


def test_without_memory_the_disk_gives_them(project: Project) -> None:
    project.configure(more="cache: {memory_mb: 0}")
    first = project.ingest()
    for page in project.docs.iterdir():
        page.rename(page.with_name(f"moved-{page.name}"))
    assert project.ingest(allow_removals=True).cache == {"disk": first.embedded}


def test_vectors_of_chunks_that_are_gone_are_bounded(project: Project) -> None:
    project.configure(more="cache: {vectors: 2}")
    total = project.ingest().chunks["total"]
    for page in sorted(project.docs.iterdir())[:3]:
        page.write_text(page.read_text().replace("river", "canal"))
    report = project.ingest()
    with project.open() as pipeline:
        assert report.chunks["total"] == total
        assert pipeline.caches()["vectors"]["entries"] <= total + 2
        assert not pipeline.repair_views()[0].missing
        before = pipeline.caches()["vectors"]["misses"]
        (project.folder / "gone").mkdir()
        pipeline.search("bridges of the canal")
        assert pipeline.caches()["vectors"]["misses"] == before + 1, "the question alone: what lives was kept"


def test_questions_are_not_kept_where_the_yaml_says_so(project: Project) -> None:
    for kept, line in ((1, ""), (0, "cache: {queries: false}")):
        project.configure(more=line)
        project.ingest()
        with project.open() as pipeline:
            pipeline.clear_caches()
            before = pipeline.caches()["vectors"]["entries"]
            pipeline.search("how many bridges")
            assert pipeline.caches()["vectors"]["entries"] - before == kept


def test_clearing_spares_what_lives(project: Project) -> None:
    report = project.ingest()
    with project.open() as pipeline:
        pipeline.search("how many bridges")
        assert pipeline.clear_caches() == {"vectors": 1, "scores": 0}
        assert pipeline.clear_caches(everything=True) == {"vectors": report.embedded, "scores": 0}
        assert pipeline.search("how many bridges").hits, "the store has its own"


def test_two_machines_share_what_they_embed(project: Project, tmp_path: Path) -> None:
    with redis_server(tmp_path / "redis") as server:
        line = f"cache: {{redis: '{server.url}'}}"
        project.configure(more=line)
        first = project.ingest()
        other = Project(tmp_path / "there", more=line)
        for page in project.docs.iterdir():
            other.write(page.name, page.read_text())
        second = other.ingest()
        with other.open() as pipeline:
            (redis,) = (layer for layer in pipeline.caches()["vectors"]["layers"] if layer["name"] == "redis")
    assert (second.embedded, second.cache["redis"]) == (0, first.embedded)
    assert (redis["answers"], redis["hits"]) == (True, first.embedded)


def test_a_redis_that_is_not_there_costs_a_warning(project: Project, caplog: pytest.LogCaptureFixture) -> None:
    project.configure(more="cache: {redis: {url: 'redis://:opensesame@127.0.0.1:1/0', timeout: 0.2}}")
    report = project.ingest()
    assert report.exit_status == 0
    assert [record.getMessage() for record in caplog.records if "127.0.0.1:1" in record.getMessage()] != []
    assert len([record for record in caplog.records if "does not answer" in record.getMessage()]) == 1
    assert "opensesame" not in caplog.text


def test_the_password_of_redis_is_not_shown(project: Project) -> None:
    from ragkit.config import render

    project.configure(more="cache: {redis: 'redis://:opensesame@127.0.0.1:1/0'}")
    with project.open() as pipeline:
        assert "opensesame" not in str(render(pipeline.config))
        assert "opensesame" not in repr(pipeline.config)


@pytest.mark.parametrize("line", ["cache: {memory_mb: -1}", "cache: {redis: {ttl_days: 3}}", "cache: {vektors: 1}"])
def test_settings_that_make_no_sense_are_refused(project: Project, line: str) -> None:
    project.configure(more=line)
    with pytest.raises(ConfigError):
        project.open()


def test_a_redis_that_dies_in_the_middle_of_an_ingest_stops_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with redis_server(tmp_path / "redis") as server:
        project = Project(tmp_path / "here", size=20, more=f"cache: {{redis: {{url: '{server.url}', timeout: 0.2}}}}")
        for number, text in enumerate(texts(700)):
            project.write(f"page{number}.md", text)
        groups: list[int] = []

        def progress(stage: str, done: int, total: int | None, detail: str = "") -> None:
            if stage == "documents":
                groups.append(done)
                server.process.kill()

        with project.open() as pipeline:
            report = pipeline.ingest(progress=progress)
            vectors = pipeline.caches()["vectors"]
        assert len(groups) > 1, "it died after the first group"
        assert (report.exit_status, report.documents["added"], report.embedded) == (0, 700, report.chunks["total"])
        assert vectors["entries"] == report.chunks["total"]
        assert len([record for record in caplog.records if "does not answer" in record.getMessage()]) == 1
