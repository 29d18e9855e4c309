"""Filters from Python, and the configuration's own, wherever hits come from."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from llama_index.core.schema import Document, QueryBundle
from llama_index.core.vector_stores.types import FilterCondition, FilterOperator, MetadataFilter, MetadataFilters
from projects import Project

from ragkit import Component, Options, Pipeline, hookimpl
from ragkit.components import Kind, Spec
from ragkit.errors import ConfigError, FilterError, QueryError
from ragkit.evaluate import evaluate
from ragkit.filters import Comparison, Exists, parse, to_llama
from ragkit.state.stores import StoreAdapter
from ragkit.testing import MemoryVectorStore

QUESTION = "Which ship sails?"
SHIPS = """
ada: {year: 2019, at: 2024-05-01}
bea: {year: 2020, at: 2024-05-01T23:00:00-02:00}
cleo: {year: 2021, kind: 'tug "x" 100%_'}
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path / "project", more="top_k: 10")
    for line in SHIPS.strip().splitlines():
        name, _, values = line.partition(": ")
        fields = values.strip("{}").replace(", ", "\n")
        project.write(f"{name}.md", f"---\n{fields}\n---\n# The {name}\n\nThe ship {name} sails on Monday.\n")
    project.ingest()
    return project


@pytest.fixture
def configured(project: Project) -> Callable[[str], Pipeline]:
    def opened(filters: str) -> Pipeline:
        project.configure(more=f"top_k: 10\nfilter: {filters}")
        return project.open()

    return opened


def names(nodes: Any) -> str:
    return " ".join(sorted(item.node.metadata["uri"].removesuffix(".md") for item in nodes))


def one(key: str, operator: FilterOperator, value: Any) -> MetadataFilters:
    return MetadataFilters(filters=[MetadataFilter.model_construct(key=key, operator=operator, value=value)])


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (None, "ada bea cleo"),
        ("year >= 2020", "bea cleo"),
        (Comparison("year", ">=", 2020), "bea cleo"),
        (one("year", FilterOperator.GTE, 2020), "bea cleo"),
        (Exists("kind"), "cleo"),
        (one("at", FilterOperator.LTE, date(2024, 5, 1)), "ada"),
        (one("at", FilterOperator.GTE, datetime(2024, 5, 2, 1, tzinfo=UTC)), "bea"),
        (one("at", FilterOperator.EQ, datetime(2024, 5, 1, 23, tzinfo=timezone(-timedelta(hours=2)))), "bea"),
        ("kind contains '100%_'", "cleo"),
    ],
)
async def test_every_form_of_filter(filters: Any, expected: str, project: Project) -> None:
    with project.open() as pipeline:
        assert names(pipeline.search(QUESTION, filters=filters).nodes) == expected
        assert names(pipeline.ask(QUESTION, filters=filters).nodes) == expected
        assert names((await pipeline.aask(QUESTION, filters=filters)).nodes) == expected
        assert names([piece async for piece in pipeline.astream(QUESTION, filters=filters)][-1].nodes) == expected


def test_what_is_no_filter_is_refused(project: Project) -> None:
    with project.open() as pipeline:
        with pytest.raises(FilterError, match="character 5"):
            pipeline.search(QUESTION, filters="year")
        with pytest.raises(QueryError, match="not dict"):
            pipeline.ask(QUESTION, filters={"year": 2020})  # type: ignore[arg-type]


async def test_the_configurations_filter_holds_everywhere(configured: Callable[[str], Pipeline], tmp_path: Path) -> None:
    with configured("year >= 2020 and not exists kind") as pipeline:
        assert names(pipeline.search(QUESTION).nodes) == "bea"
        assert names(pipeline.search(QUESTION, filters="year = 2021").nodes) == ""
        assert names(pipeline.ask(QUESTION).nodes) == "bea"
        engine = pipeline.query_engine()
        assert names(engine.query(QUESTION).source_nodes) == "bea"
        assert names((await engine.aquery(QUESTION)).source_nodes) == "bea"
        assert names(engine.retrieve(QueryBundle(QUESTION))) == "bea"
        assert pipeline.status().matches
        assert pipeline.ingest().embedded == 0
        _write_dataset(tmp_path)
        result = evaluate(pipeline, tmp_path)
        assert result.metrics["recall@10"].mean == 0.5


def _write_dataset(folder: Path) -> None:
    (folder / "qrels").mkdir()
    (folder / "queries.jsonl").write_text('{"_id": "1", "text": "ship ada"}\n{"_id": "2", "text": "ship bea"}\n')
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n1\tada.md\t1\n2\tbea.md\t1\n")


class DeafRetriever:
    """Hydrates whatever there is, and knows nothing of filters."""

    @hookimpl
    def ragkit_retrievers(self) -> list[Component]:
        return [Component("deaf", Options, self.build)]

    def build(self, options: Options, context: Any) -> Any:
        from llama_index.core.base.base_retriever import BaseRetriever

        class Deaf(BaseRetriever):
            def _retrieve(self, query_bundle: QueryBundle) -> Any:
                ids = [node.node_id for node in context.nodes()]
                return context.hydrate(ids, [1.0] * len(ids))

        return Deaf()


def test_a_plugin_that_does_not_filter_gets_nothing_past(project: Project) -> None:
    project.configure(more="retriever: deaf\nfilter: year >= 2020")
    with project.open(DeafRetriever()) as pipeline:
        found = pipeline.search(QUESTION, filters="year < 2021")
    assert names(found.nodes) == "bea"
    assert "it does not filter" in found.trace.stages[-1].detail


def test_llamaindex_bm25_is_refused_or_filtered_after_it(project: Project) -> None:
    project.configure(more="retriever: llamaindex_bm25\nfilter: year >= 2020")
    with pytest.raises(ConfigError, match=r"ragkit.yaml:6:12: retriever: llamaindex_bm25 cannot filter"):
        project.open()
    project.configure(more="retriever: llamaindex_bm25")
    with project.open() as pipeline:
        found = pipeline.search("which ship sails on Monday", filters="year >= 2020")
    assert names(found.nodes) == "bea cleo"
    (stage,) = [stage for stage in found.trace.stages if stage.name == "retriever"]
    assert stage.detail.startswith("it does not filter: 1 of its 3 hits do not satisfy the filter")


def test_a_route_that_cannot_filter_is_refused(project: Project) -> None:
    routes = "[{pattern: x, retriever: keyword}, {pattern: y, retriever: llamaindex_bm25}]"
    project.configure(more=f"retriever: {{use: router, routes: {routes}}}\nfilter: year >= 2020")
    with pytest.raises(ConfigError, match=r"retriever.routes.1.retriever: llamaindex_bm25 cannot filter"):
        project.open()


def test_dates_of_a_source_are_kept_as_the_front_matter_has_them(tmp_path: Path) -> None:
    at = datetime(2024, 5, 1, 10, tzinfo=timezone(timedelta(hours=2)))
    fields = {"at": at, "days": [date(2024, 5, 1)]}
    plugin = SimpleNamespace(
        ragkit_sources=hookimpl(
            lambda: [Component("mine", Options, lambda options, context: [Document(text="A ship.", id_="x", metadata=fields)])]
        )
    )
    project = Project(tmp_path / "other")
    project.config.write_text("sources: [mine]\nembedding: fake\n")
    project.ingest(plugin)
    with project.open(plugin) as pipeline:
        (hit,) = pipeline.search(QUESTION, filters=one("at", FilterOperator.EQ, at)).hits
        assert (hit.metadata["at"], hit.metadata["days"]) == ("2024-05-01T10:00:00+02:00", ["2024-05-01"])
        assert pipeline.search(QUESTION, filters="at < 2024-05-01T08:00:01Z and days contains 2024-05-01").hits
        assert not pipeline.search(QUESTION, filters="at < 2024-05-01T08:00:00Z").hits


@pytest.mark.parametrize(
    ("key", "there"),
    [
        ("year", True), ("kind", True), ("uri", True), ("source", True), ("title", True), ("heading", True), ("Year", False),
        ("tug", False), ('tug "x" 100%_', False), ("page", False), ("", False), ("yea_", False), ("%", False), ("1", False),
        ("\udcff", False), ("%" * 100_000, False),
    ],
)  # fmt: skip
def test_the_reader_knows_which_keys_there_are(key: str, there: bool, project: Project) -> None:
    with project.open() as pipeline, pipeline.reader() as reader:
        assert reader.has_key(key) is there


def test_keys_of_removed_documents_are_gone(project: Project) -> None:
    (project.docs / "cleo.md").unlink()
    project.ingest()
    with project.open() as pipeline, pipeline.reader() as reader:
        assert (reader.has_key("kind"), reader.has_key("year")) == (False, True)


def test_conditions_of_llamaindex_nest(project: Project) -> None:
    inner = MetadataFilters(
        filters=[*one("year", FilterOperator.EQ, 2019).filters, *one("year", FilterOperator.EQ, 2021).filters],
        condition=FilterCondition.OR,
    )
    with project.open() as pipeline:
        assert names(pipeline.search(QUESTION, filters=inner).nodes) == "ada cleo"
        negated = MetadataFilters(filters=[inner], condition=FilterCondition.NOT)
        assert names(pipeline.search(QUESTION, filters=negated).nodes) == "bea"


def test_keys_of_documents_without_a_chunk_do_not_count(project: Project) -> None:
    project.write("empty.md", "---\nodd: 1\n---\n")
    project.ingest()
    with project.open() as pipeline, pipeline.reader() as reader:
        assert reader.has_key("odd") is False


def test_a_store_tells_what_its_engine_evaluates() -> None:
    class Tells(MemoryVectorStore):
        def evaluates(self, filters: MetadataFilters) -> bool:
            return len(filters.filters) == 1

    spec = Spec(Kind.VECTOR_STORE, Component("tells", Options, lambda options, context: None), Options())
    few, many = to_llama(parse("a = 1")), to_llama(parse("a = 1 and b = 2"))
    assert [StoreAdapter(Tells(), spec).evaluates(filters) for filters in (few, many)] == [True, False]
    assert StoreAdapter(MemoryVectorStore(), spec).evaluates(many)  # it does not tell
