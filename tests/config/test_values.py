"""What a good configuration becomes: defaults, short forms, names, variables, base files, overrides."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from ragkit.components import Kind
from ragkit.config import Config, parse
from ragkit.errors import ConfigError
from ragkit.filters import Comparison, Exists
from ragkit.host import Host

Load = Callable[..., Config]
Problems = Callable[..., list[str]]
START = "sources: [{use: files, path: docs}]\n"


def options(config: Config, key: str) -> Any:
    return getattr(config, key).options


def test_the_defaults(read: Load, tmp_path: Path) -> None:
    config = read(START)
    folder = tmp_path / "handbook"
    assert (config.name, config.state, config.file) == ("handbook", str(folder / ".ragkit"), folder / "ragkit.yaml")
    chosen = (config.chunker, config.embedding, config.vector_store, config.keyword_store, config.retriever, config.answer)
    assert [spec.use for spec in chosen] == ["sentence", "huggingface", "faiss", "bm25", "hybrid", "extractive"]
    assert [spec.use for spec in config.clean] == ["whitespace"]
    assert (config.rerankers, config.top_k, config.llm) == ((), 5, None)
    assert [leg.use for leg in options(config, "retriever").legs] == ["dense", "keyword"]


def test_a_configuration_is_frozen(read: Load) -> None:
    with pytest.raises(ValidationError):
        read(START).top_k = 3  # type: ignore[misc]


def test_a_filter_is_read(read: Load) -> None:
    tree = Comparison("year", ">=", 2020)
    assert read(START).filter is read(f"{START}filter: null").filter is None
    assert read(f"{START}filter: year >= ${{YEAR}}", environ={"YEAR": "2020"}).filter == tree
    assert read(f"{START}filter: year < 2000", "filter=year >= 2020").filter == tree
    assert read("extends: base.yaml", base=f"{START}filter: year >= 2020").filter == tree
    assert read("extends: base.yaml\nfilter: exists a", base=f"{START}filter: year >= 2020").filter == Exists("a")


def test_a_filter_from_python(host: Host, tmp_path: Path) -> None:
    data = {"sources": [{"use": "files", "path": "docs"}]}
    tree = Comparison("year", ">=", 2020)
    assert parse({**data, "filter": tree}, host, folder=tmp_path).filter == tree
    with pytest.raises(ConfigError, match="filter: character 7: more should follow"):
        parse({**data, "filter": "year >"}, host, folder=tmp_path)


def test_a_filter_is_taken_by_retrievers_that_can(read: Load) -> None:
    for retriever, text in (("dense", "not exists a"), ("hard_of_hearing", "a = 1"), ("hard_of_hearing", "a >= 1")):
        assert read(f"{START}retriever: {retriever}\nfilter: {text}").filter
    assert read(f"{START}retriever: deaf").filter is None


def test_a_bare_name_and_a_mapping_without_use(read: Load) -> None:
    assert read(f"{START}chunker: token").chunker == read(f"{START}chunker: {{use: token}}").chunker
    config = read(f"{START}chunker: {{size: 99}}")  # the default component is meant
    assert (config.chunker.use, options(config, "chunker").size) == ("sentence", 99)


def test_nested_components_at_any_depth(read: Load) -> None:
    config = read(f"{START}retriever: {{use: hybrid, legs: [dense, {{use: hybrid, name: inner, alpha: 0.2}}]}}")
    inner = options(config, "retriever").legs[1]
    assert (inner.kind, inner.use, inner.name, inner.options.alpha) == (Kind.RETRIEVER, "hybrid", "inner", 0.2)
    assert [leg.name for leg in inner.options.legs] == ["dense", "keyword"]


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("{use: files, path: docs}", "files:docs"),
        ("{use: files, path: ./docs/guide/}", "files:docs/guide"),
        ("{use: files, path: ., name: all}", "all"),
        ("{use: web, url: 'https://user:secret@example.org/a?b=1'}", "web:https://example.org/a?b=1"),
    ],
)
def test_a_source_is_named_after_what_is_written(source: str, name: str, read: Load) -> None:
    assert [spec.name for spec in read(f"sources: [{source}]").sources] == [name]


def test_paths_and_the_state_are_relative_to_the_file(read: Load, tmp_path: Path) -> None:
    config = read(f"{START}state: ../elsewhere")
    assert config.sources[0].options.path == tmp_path / "handbook" / "docs"  # type: ignore[attr-defined]
    assert config.state == str(tmp_path / "elsewhere")
    assert read(f"{START}state: ~no-such-user/x").state == str(tmp_path / "handbook" / "~no-such-user" / "x")
    nobody = read("sources: [{use: files, path: ~no-such-user/x}]").sources[0].options.path  # type: ignore[attr-defined]
    assert nobody == tmp_path / "handbook" / "~no-such-user" / "x"
    assert read(f"{START}state: postgresql+psycopg://u:p@h/d").state == "postgresql+psycopg://u:p@h/d"


def test_variables(read: Load) -> None:
    text = """
sources: [{use: files, path: "${DOCS}/a"}]
top_k: ${TOP_K:-7}
name: '$${NAME} ${EMPTY:-filled}${EMPTY}'
vector_store: {use: faiss, store_text: "${YES}", api_key: "${KEY}", url: "${URL:-http://localhost:8000}"}
"""
    config = read(text, environ={"DOCS": "texts", "EMPTY": "", "YES": "true", "KEY": "12345678"})
    assert config.sources[0].name == "files:texts/a"
    assert (config.top_k, config.name) == (7, "${NAME} filled")
    store = options(config, "vector_store")
    assert (store.store_text, store.api_key.get_secret_value(), store.url) == (True, "12345678", "http://localhost:8000")


@pytest.mark.parametrize("text", ["${", "${}", "${1A}", "${A-b}", "${A:default}", "x ${A B}"])
def test_what_looks_like_a_variable_and_is_none(text: str, problems: Problems) -> None:
    (problem,) = problems(f"{START}name: '{text}'")
    assert problem.startswith("ragkit.yaml:2:7: name: '${")
    assert problem.endswith("is not a variable; write ${NAME} or ${NAME:-default}, and $${ for a literal ${")


def test_a_variable_that_is_not_set_is_told_once(problems: Problems) -> None:
    assert problems("sources: [{use: files, path: '${DOCS}'}]\nchunker: {use: '${CHUNKER}'}") == [
        "ragkit.yaml:1:30: sources.0.path: the environment variable DOCS is not set; set it, or write ${DOCS:-default}",
        "ragkit.yaml:2:16: chunker.use: the environment variable CHUNKER is not set; set it, or write ${CHUNKER:-default}",
    ]


class TestExtends:
    BASE = f"{START}top_k: 9\nchunker: {{use: token, size: 64, overlap: 8}}\nclean: [whitespace, unicode]\n"

    def test_mappings_merge_and_lists_replace(self, read: Load) -> None:
        config = read("extends: base.yaml\nchunker: {size: 128}\nclean: [unicode]\nname: mine", base=self.BASE)
        assert (config.name, config.top_k, [spec.use for spec in config.clean]) == ("mine", 9, ["unicode"])
        chunker = options(config, "chunker")
        assert (config.chunker.use, chunker.size, chunker.overlap) == ("token", 128, 8)

    @pytest.mark.parametrize("over", ["sentence", "{use: sentence}"])
    def test_another_component_takes_no_option_of_the_base(self, over: str, read: Load) -> None:
        config = read(f"extends: base.yaml\nchunker: {over}", base=self.BASE)
        assert (config.chunker.use, options(config, "chunker").size) == ("sentence", None)

    def test_the_same_component_keeps_them(self, read: Load) -> None:
        assert options(read("extends: base.yaml\nchunker: token", base=self.BASE), "chunker").size == 64
        config = read("extends: base.yaml\nchunker: {use: token}", base=f"{START}chunker: {{size: 64}}")
        assert (config.chunker.use, options(config, "chunker").size) == ("token", None)

    def test_null_takes_away(self, read: Load) -> None:
        assert read("extends: base.yaml\nllm: null", base=f"{START}llm: echo").llm is None

    def test_a_chain_keeps_each_files_folder(self, read: Load, tmp_path: Path) -> None:
        below = tmp_path / "handbook" / "below"
        below.mkdir(parents=True)
        (below / "base.yaml").write_text("sources: [{use: files, path: docs}]\nstate: here\nextends: ../root.yaml")
        config = read("extends: below/base.yaml", root="top_k: 3\nstate: there\nchunker: token")
        assert config.sources[0].options.path == below / "docs"  # type: ignore[attr-defined]
        assert (config.state, config.top_k, config.chunker.use) == (str(below / "here"), 3, "token")

    def test_a_problem_stands_where_its_value_does(self, problems: Problems) -> None:
        assert problems("extends: base.yaml\ntop_k: 0", base=f"{START}chunker:\n  siz: 5") == [
            "ragkit.yaml:2:8: top_k: must be at least 1, not 0",
            "base.yaml:3:3: chunker.siz: unknown option 'siz' of sentence; did you mean 'size'?",
        ]

    @pytest.mark.parametrize(
        ("extends", "told"),
        [
            ("nowhere.yaml", "extends: nowhere.yaml: there is no such file"),
            ("ragkit.yaml", "extends: goes round in a circle: ragkit.yaml → ragkit.yaml"),
            ("[base.yaml]", "extends: must be the path of a YAML file"),
            ('"a\\0"', "extends: must be the path of a YAML file"),
            ("~no-such-user/x.yaml", "extends: ~no-such-user/x.yaml: there is no such file"),
            ("''", "extends: must be the path of a YAML file"),
        ],
    )
    def test_what_cannot_be_extended(self, extends: str, told: str, problems: Problems) -> None:
        assert problems(f"extends: {extends}") == [f"ragkit.yaml:1:10: {told}"]

    def test_a_longer_circle(self, problems: Problems) -> None:
        assert problems("extends: a.yaml", a="extends: b.yaml", b="extends: ./ragkit.yaml") == [
            "b.yaml:1:10: extends: goes round in a circle: ragkit.yaml → a.yaml → b.yaml → ./ragkit.yaml"
        ]

    def test_a_chain_has_an_end(self, problems: Problems) -> None:
        chain = {f"f{n}": f"extends: f{n + 1}.yaml" for n in range(12)}
        assert problems("extends: f0.yaml", **chain) == ["f9.yaml:1:10: extends: is more than 10 files deep"]

    def test_a_broken_base_is_told_with_what_else_is_wrong(self, problems: Problems) -> None:
        assert problems("extends: base.yaml\ntop_k: x", base="a: b: c") == [
            "ragkit.yaml:2:8: top_k: must be a whole number, not 'x'",
            (
                "base.yaml:1:5: not valid YAML: a ':' where none may stand; check the indentation, or put a value that holds "
                "': ' in quotes"
            ),
        ]


class TestOverrides:
    @pytest.mark.parametrize(
        ("override", "key", "value"),
        [
            ("top_k=3", "top_k", 3),
            ("name=a=b", "name", "a=b"),
            ("name=${WHO}", "name", "me"),
            ("llm=", "llm", None),
        ],
    )
    def test_values(self, override: str, key: str, value: Any, read: Load) -> None:
        assert getattr(read(f"{START}llm: echo", override, environ={"WHO": "me"}), key) == value

    def test_options_of_what_is_there_of_a_bare_name_and_of_a_default(self, read: Load) -> None:
        config = read(f"{START}chunker: {{use: token, size: 64}}\nvector_store: faiss", "chunker.overlap=8",
                      "vector_store.index.m=4", "retriever.alpha=0.1", "sources.0.path=other")  # fmt: skip
        chunker = options(config, "chunker")
        assert (config.chunker.use, chunker.size, chunker.overlap) == ("token", 64, 8)
        assert options(config, "vector_store").index.m == 4
        assert options(config, "retriever").alpha == 0.1
        assert config.sources[0].name == "files:other"

    def test_another_component_drops_the_options(self, read: Load) -> None:
        config = read(f"{START}chunker: {{use: token, size: 64}}", "chunker.use=sentence", "chunker.overlap=1")
        chunker = options(config, "chunker")
        assert (config.chunker.use, chunker.size, chunker.overlap) == ("sentence", None, 1)

    def test_whole_components_and_lists(self, read: Load) -> None:
        config = read(START, "rerankers=[shuffle]", "chunker={use: token, size: 32}")
        assert [spec.use for spec in config.rerankers] == ["shuffle"]
        assert (config.chunker.use, options(config, "chunker").size) == ("token", 32)

    def test_they_do_not_mend_a_file_for_good(self, read: Load) -> None:
        assert (read(START, "top_k=3").top_k, read(START).top_k) == (3, 5)

    @pytest.mark.parametrize(
        ("override", "told"),
        [
            ("top_k", "--set: 'top_k' is not key.path=value"),
            ("=3", "--set: '=3' is not key.path=value"),
            ("a..b=3", "--set: 'a..b=3' is not key.path=value"),
            ("top_k=x", "--set: top_k: must be a whole number, not 'x'"),
            ("sources.1.path=x", "--set: sources.1.path: there is no entry '1'; the list has 1, counted from 0"),
            ("sources.first=x", "--set: sources.first: there is no entry 'first'; the list has 1, counted from 0"),
            ("chunker.siz=3", "--set: chunker.siz: unknown option 'siz' of sentence; did you mean 'size'?"),
            ("extends=base.yaml", "--set: extends: can only be set in the file"),
            ("name=${NOBODY}", "--set: name: the environment variable NOBODY is not set; set it, or write ${NOBODY:-default}"),
            (
                "clean=[",
                "--set: clean: not valid YAML: while parsing a flow node, expected the node content, but found '<stream end>'",
            ),
        ],
    )
    def test_bad_ones(self, override: str, told: str, problems: Problems) -> None:
        assert problems(START, override) == [told]


def test_from_python(host: Host, tmp_path: Path) -> None:
    data = {"sources": [{"use": "files", "path": tmp_path / "a"}, {"use": "files", "path": "b"}],
            "vector_store": {"use": "faiss", "api_key": SecretStr("long enough")}, "name": "${literal}"}  # fmt: skip
    config = parse(data, host, folder=tmp_path)
    assert [spec.options.path for spec in config.sources] == [tmp_path / "a", tmp_path / "b"]  # type: ignore[attr-defined]
    assert (config.name, config.file, config.state) == ("${literal}", None, str(tmp_path / ".ragkit"))
    assert parse({**data, "chunker": config.chunker}, host, folder=tmp_path) == config


def test_problems_from_python_have_no_place(host: Host, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        parse({"sources": [{"use": "files", "path": "a"}], "top_k": 0}, host, folder=tmp_path)
    assert str(caught.value) == "top_k: must be at least 1, not 0"
