"""Which retriever a question goes to."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode
from scripted import Scripted, ScriptedLLM, configuration, open_pipeline, stage, stages, uris

from ragkit import Component, Options, Pipeline, hookimpl
from ragkit.builtin.questions.patterns import found as has_pattern
from ragkit.builtin.questions.router import number_in, required
from ragkit.builtin.retrievers.base import IdsRetriever
from ragkit.config import parse, render
from ragkit.errors import ComponentError, ConfigError, QueryError
from ragkit.filters import as_llama
from ragkit.host import Host
from ragkit.testing import FakeStage, build_context, plugin

QUESTION = "When is lunch served?"
Open = Callable[..., Pipeline]
KEYWORD_FIRST = {"retriever": "keyword", "pattern": r"^[A-Z]{2}-\d+"}
DESCRIBED = [
    {"retriever": "keyword", "description": "codes and names"},
    {"retriever": "dense", "description": "how something is done"},
]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    """Opens a pipeline whose router has these routes; the LLM says `said`."""
    with ExitStack() as stack:

        def make(routes: Sequence[Any], said: Any = "0", more: Any = None, **options: Any) -> Pipeline:
            llm = said if isinstance(said, ScriptedLLM) else ScriptedLLM(said)
            retriever = {"use": "router", "routes": list(routes), **options}
            return stack.enter_context(open_pipeline(tmp_path, llm, retriever, **(more or {})))

        yield make


def asked(found: Any) -> str:
    """The retriever that answered, by the stages of its stores."""
    return "+".join(name for name in ("dense", "keyword") if name in stages(found))


def told(found: Any) -> str:
    return str(stage(found, "router").detail)


def problems(routes: Any, *, llm: bool = True, **options: Any) -> str:
    values = configuration({"use": "router", "routes": routes, **options})
    if not llm:
        del values["llm"]
    with pytest.raises(ConfigError) as caught:
        parse(values, Host(plugins=[plugin, Scripted(ScriptedLLM("x"))]), folder=Path())
    return str(caught.value)


# Patterns


def test_a_pattern_sends_a_question(opened: Open) -> None:
    pipeline = opened([KEYWORD_FIRST, {"retriever": "dense", "pattern": "(?i)LUNCH"}])
    by_code = pipeline.search("AB-12 salary")
    assert (asked(by_code), uris(by_code)) == ("keyword", ["secret"])
    assert told(by_code) == r"route 1 (keyword): the question has ^[A-Z]{2}-\d+"
    by_word = pipeline.search(QUESTION)
    assert (asked(by_word), uris(by_word)[0]) == ("dense", "canteen")
    assert told(by_word) == "route 2 (dense): the question has (?i)LUNCH"
    other = pipeline.search("Who signs for flights?")
    assert asked(other) == "dense+keyword"
    assert told(other) == "the default (hybrid): no route matches"
    assert other.hits[0].ranks["router"] == other.hits[0].ranks["fused"] == 1


def test_the_first_route_that_matches_wins(opened: Open) -> None:
    routes = [{"retriever": "keyword", "pattern": "lunch"}, {"retriever": "dense", "pattern": "lunch"}]
    assert asked(opened(routes).search(QUESTION)) == "keyword"
    assert asked(opened(routes[::-1]).search(QUESTION)) == "dense"


@pytest.mark.parametrize(("pattern", "text"), [("(a+)+$", "a" * 30_000 + "b"), (r"^(([a-z])+.)+[A-Z]([a-z])+$", "a" * 30_000)])
def test_a_pattern_has_little_time(opened: Open, pattern: str, text: str) -> None:
    began = time.perf_counter()
    assert not has_pattern(pattern, text, FakeStage("router"))
    assert time.perf_counter() - began < 3
    found = opened([{"retriever": "keyword", "pattern": pattern}], default="dense").search(text)
    assert asked(found) == "dense"
    assert stage(found, "router").status == "degraded"
    assert "took longer than 100 ms and counts as not found" in told(found)


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("(", "is no regular expression: missing )"),
        (r"\p{Nothing}", "is no regular expression"),
        ("((a{1000}){1000}){1000}", "repeats too much"),
        ("a{99999999999999999999}", "repeats too much"),
        ("(a{,500}){500,}", "repeats too much"),
        ("a" * 1_001, "at most 1,000"),
        ("(" * 450 + ")" * 450, "is nested too deep"),
        ("", "must have at least 1 character"),
    ],
)
def test_a_pattern_is_checked_with_the_configuration(pattern: str, problem: str) -> None:
    found = problems([KEYWORD_FIRST, {"retriever": "dense", "pattern": pattern}])
    assert found.startswith("retriever.routes.1.pattern: ")
    assert problem in found


# Categories


@pytest.mark.parametrize(
    ("filters", "sent"),
    [
        ("category = 'house'", True),
        ("category in [house]", True),
        ("year > 2000 and (category = house and year < 3000)", True),
        ("category in [house, staff] and category in [house, board]", True),
        ("category = house or category = house", True),
        ("category in [house, staff]", False),
        ("category = house or year = 2022", False),
        ("not category = house", False),
        ("category != house", False),
        ("category contains house", False),
        ("category = staff", False),
        ("uri = house", False),
        (None, False),
    ],
)
def test_a_category_is_read_off_the_filter(opened: Open, filters: Any, sent: bool) -> None:
    found = opened([{"retriever": "dense", "category": "house"}], default="keyword").search(QUESTION, filters=filters)
    assert asked(found) == ("dense" if sent else "keyword")
    assert told(found) == (
        "route 1 (dense): the filter wants category house" if sent else "the default (keyword): no route matches"
    )
    if sent:
        assert {hit.metadata["category"] for hit in found.hits} == {"house"}


def test_the_configurations_own_filter_counts(opened: Open) -> None:
    pipeline = opened([{"retriever": "dense", "category": "2022"}], more={"filter": "year = 2022"}, key="year", default="keyword")
    assert asked(pipeline.search(QUESTION)) == "dense"


def test_required_values() -> None:
    assert required(as_llama("a = 1"), "a") == {"1"}
    assert required(as_llama("a = 1 or a in [2, 3]"), "a") == {"1", "2", "3"}
    assert required(as_llama("a = 1 and a = 2"), "a") == frozenset()
    assert required(as_llama("not a = 1"), "a") is None
    assert required(as_llama("a = 1 or b = 1"), "a") is None


# Descriptions


@pytest.mark.parametrize(
    ("said", "sent"),
    [("1", "keyword"), ("2", "dense"), ("Route 2.", "dense"), ("```\n**2**\n```", "dense"), ("0", "dense+keyword")],
)
def test_the_model_chooses_by_description(opened: Open, said: str, sent: str) -> None:
    llm = ScriptedLLM(said)
    found = opened(DESCRIBED, llm).search(QUESTION)
    assert asked(found) == sent
    assert stage(found, "router").status == "ok"
    assert "1. codes and names\n2. how something is done\n" in llm.prompts[0]
    assert f"\n<question>\n{QUESTION}\n</question>\n" in llm.prompts[0]
    assert f"the language model said: {' '.join(said.split())}" in told(found)
    if sent == "dense":
        assert told(found).endswith("route 2 (dense): the language model chose it")


@pytest.mark.parametrize(
    "said", ["3", "-1", "99999", "1.5", "the second", "", "I choose none of 1 and 2", TimeoutError("too slow")]
)
def test_a_model_that_names_no_route_chooses_none(opened: Open, said: Any) -> None:
    found = opened([*DESCRIBED, {"retriever": "keyword", "pattern": "lunch"}], said, default="dense").search(QUESTION)
    assert asked(found) == "keyword"
    assert stage(found, "router").status == "degraded"
    assert told(found).endswith("route 3 (keyword): the question has lunch")


@pytest.mark.parametrize(
    ("answer", "number"),
    [("2", 2), ("  (2)", 2), ("The answer is: 2", 2), ("_10_", 10), ("0 (none)", 0), ("2nd", None), ("x", None)],
)
def test_the_number_in_an_answer(answer: str, number: int | None) -> None:
    assert number_in(answer) == number


def test_the_model_is_asked_once_and_only_where_it_has_to(opened: Open) -> None:
    llm = ScriptedLLM("2")
    pipeline = opened([KEYWORD_FIRST, *DESCRIBED], llm)
    assert asked(pipeline.search("AB-12 salary")) == "keyword"
    assert llm.prompts == []
    assert told(pipeline.search(QUESTION)).endswith("route 3 (dense): the language model chose it")
    assert len(llm.prompts) == 1
    later = opened([DESCRIBED[0], {"retriever": "keyword", "pattern": "lunch"}, DESCRIBED[1]], llm, default="dense")
    assert told(later.search(QUESTION)).endswith("route 2 (keyword): the question has lunch")


def test_descriptions_need_a_model(tmp_path: Path) -> None:
    assert "retriever.use: router needs a language model; name one under 'llm'" in problems(DESCRIBED, llm=False)
    values = configuration({"use": "router", "routes": [KEYWORD_FIRST, {"retriever": "dense", "category": "house"}]})
    del values["llm"]
    assert parse(values, Host(plugins=[plugin]), folder=tmp_path).retriever.capabilities.get("needs") is None
    options = parse(
        configuration({"use": "router", "routes": DESCRIBED}), Host(plugins=[plugin, Scripted(ScriptedLLM("x"))]), folder=tmp_path
    ).retriever
    with pytest.raises(ComponentError, match=r"`router` needs a language model(.|\n)*llm:"):
        options.component.build(options.options, build_context(tmp_path / "context"))


# The configuration


@pytest.mark.parametrize(
    ("route", "problem"),
    [
        ({"retriever": "dense"}, "retriever.routes.0: says not which questions it is for; give a route exactly one of"),
        ({"retriever": "dense", "pattern": "a", "category": "b"}, "retriever.routes.0: has pattern and category; give a route"),
        ({"pattern": "a"}, "retriever.routes.0.retriever: is required"),
        ({"retriever": "dence", "pattern": "a"}, "retriever.routes.0.retriever"),
        ({"retriever": "dense", "patern": "a"}, "retriever.routes.0.patern: unknown"),
        ({"retriever": "dense", "category": ""}, "retriever.routes.0.category: must have at least 1 character"),
    ],
)
def test_a_route_says_when(route: Any, problem: str) -> None:
    assert problem in problems([route])


def test_a_router_has_routes() -> None:
    assert "retriever.routes: must have at least 1 entry" in problems([])
    assert "retriever.prompt: lacks {routes}" in problems(DESCRIBED, prompt="{question}")


def test_it_is_rendered_and_read_again(tmp_path: Path) -> None:
    host = Host(plugins=[plugin, Scripted(ScriptedLLM("x"))])
    config = parse(
        configuration({"use": "router", "routes": [KEYWORD_FIRST, *DESCRIBED], "default": "dense"}), host, folder=tmp_path
    )
    assert parse(render(config), host, folder=tmp_path).retriever == config.retriever


# Inside others, and others inside


class Shouting(IdsRetriever):
    """Finds what the dense leg finds and presents it in capitals."""

    name = "shouting"

    def search(self, query: QueryBundle, k: int, filters: Any = None) -> Any:
        return self._context.legs["dense"].search(query, k, filters)

    def score(self, query: QueryBundle, ids: Any) -> None:
        return None

    def present(self, query: QueryBundle, nodes: Sequence[NodeWithScore]) -> list[NodeWithScore]:
        return [
            NodeWithScore(node=item.node.model_copy(update={"text": item.node.get_content().upper()}), score=item.score)
            for item in nodes
            if isinstance(item.node, TextNode)
        ]


class ShoutingPlugin:
    @hookimpl
    def ragkit_retrievers(self) -> list[Component]:
        return [Component("shouting", Options, lambda options, context: Shouting(context))]


@pytest.mark.parametrize("around", [None, "multi_query", "hyde", "decompose", "self_query"])
def test_hits_are_presented_as_the_route_presents_them(tmp_path: Path, around: str | None) -> None:
    def say(prompt: str) -> str:
        if "The searches:" in prompt:
            return "1" if "salary" in prompt else "0"
        return '{"query": "salary", "filter": "category = board"}' if "JSON" in prompt else "one thing\nanother thing"

    routes = [
        {"retriever": "shouting", "pattern": "lunch"},
        {"retriever": "shouting", "description": "salaries"},
        {"retriever": "shouting", "category": "board"},
    ]
    router = {"use": "router", "routes": routes, "default": "keyword"}
    retriever = router if around is None else {"use": around, "retriever": router}
    with open_pipeline(tmp_path, ScriptedLLM(say), retriever, plugins=[ShoutingPlugin()]) as pipeline:
        texts = {question: [hit.text for hit in pipeline.search(question).hits] for question in ("When is lunch?", "The salary?")}
        assert all(text.isupper() for found in texts.values() for text in found)
        plain = [hit.text for hit in pipeline.search("flights").hits]
        assert plain
        assert any(text.isupper() for text in plain) == (around == "self_query"), "its filter sends it to the third route"


def test_it_is_a_leg_of_hybrid(tmp_path: Path) -> None:
    router = {"use": "router", "name": "chosen", "routes": [{"retriever": "dense", "pattern": "lunch"}], "default": "keyword"}
    with open_pipeline(tmp_path, ScriptedLLM("x"), {"use": "hybrid", "legs": [router, "keyword"]}) as pipeline:
        found = pipeline.search(QUESTION)
        assert set(found.hits[0].scores) >= {"chosen", "router", "dense", "keyword", "fused"}


def test_settings_go_to_the_route_that_takes_them(opened: Open) -> None:
    pipeline = opened([KEYWORD_FIRST])
    assert stage(pipeline.search(QUESTION, alpha=1.0), "keyword").status == "skipped"
    with pytest.raises(QueryError, match="takes no settings"):
        opened([KEYWORD_FIRST], default="dense").search(QUESTION, alpha=1.0)


@pytest.mark.parametrize("question", ["🦊🦊🦊", "the of and", "word " * 6_500, "\x00"])
def test_any_question_can_be_asked(opened: Open, question: str) -> None:
    assert len(opened([KEYWORD_FIRST, *DESCRIBED], "nonsense").search(question).hits) == 3


async def test_async_retrieval_gives_the_same(opened: Open) -> None:
    from ragkit.pipeline.engine import PipelineRetriever

    pipeline = opened([*DESCRIBED], "2")
    nodes = await PipelineRetriever(pipeline).aretrieve(QUESTION)
    assert [item.node.node_id for item in nodes] == [item.node.node_id for item in pipeline.search(QUESTION).nodes]


def test_an_error_of_the_route_is_the_querys(opened: Open) -> None:
    with pytest.raises(QueryError, match="alpha is 2"):
        opened([KEYWORD_FIRST]).search(QUESTION, alpha=2)
