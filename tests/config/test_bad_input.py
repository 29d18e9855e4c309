"""Every wrong configuration is told in full, each problem in one line with its place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ragkit.config import load, parse
from ragkit.errors import ConfigError
from ragkit.host import Host

Problems = Callable[..., list[str]]
START = "sources: [{use: files, path: docs}]\n"
TABLE = (Path(__file__).parent / "bad_input.txt").read_text(encoding="utf-8")


def _cases() -> list[Any]:
    """The table's cases: a name, a YAML text, and what must be said about it."""
    found = [
        ("empty", "", "ragkit.yaml:1:1: is empty; a configuration is a mapping of keys such as 'sources:'"),
        ("control", "name: \x07", "ragkit.yaml:1:7: not valid YAML: a character that no YAML file may hold (U+0007)"),
        ("much too deep", f"{START}clean: {'[' * 5000}", "ragkit.yaml: not valid YAML: nested too deeply"),
        (
            "too deep",
            f"{START}clean: {'[' * 60}{']' * 60}",
            (
                "ragkit.yaml:2:9: clean.0: must name the cleaner: a name, or {use: name, …}\n"
                f"ragkit.yaml:2:58: clean{'.0' * 50}: nested too deeply"
            ),
        ),
    ]
    for block in TABLE.removeprefix("=== ").split("\n=== "):
        name, _, rest = block.partition("\n")
        text, _, expected = rest.partition("\n---\nragkit.yaml")
        found.append((name, text, f"ragkit.yaml{expected}"))
    return [pytest.param(text, expected.strip().splitlines(), id=name) for name, text, expected in found]


@pytest.mark.parametrize(("text", "expected"), _cases())
def test_each_problem_has_its_place_and_its_words(text: str, expected: list[str], problems: Problems) -> None:
    assert problems(text) == expected


def test_everything_is_told_at_once_in_file_order(problems: Problems) -> None:
    text = """\
sources:
  - {use: files, path: docs, incl: x}
  - fils
chunker: {use: sentence, size: "${SIZE}", overlap: -1}
vector_store:
  use: faiss
  store_text: perhaps
top_k: 0
top_k: 5
"""
    assert problems(text, "answer=llm") == [
        "ragkit.yaml:2:30: sources.0.incl: unknown option 'incl' of files; did you mean 'include'?",
        "ragkit.yaml:3:5: sources.1: unknown source 'fils'; did you mean 'files'?",
        "ragkit.yaml:4:32: chunker.size: the environment variable SIZE is not set; set it, or write ${SIZE:-default}",
        "ragkit.yaml:4:52: chunker.overlap: must be at least 0, not -1",
        "ragkit.yaml:7:15: vector_store.store_text: must be true or false, not 'perhaps'",
        "ragkit.yaml:8:8: top_k: must be at least 1, not 0",
        "ragkit.yaml:9:1: top_k: stands here a second time; the first is in line 8",
        "--set: answer: llm needs a language model; name one under 'llm'",
    ]


def test_a_default_that_is_not_installed_says_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        parse({"sources": ["x"]}, Host(entry_points=False, builtins=False), folder=tmp_path)
    told = [str(problem) for problem in caught.value.problems]
    assert "embedding: the embedding 'huggingface' is not installed; pip install ragkit-huggingface" in told
    assert "vector_store: the vector store 'faiss' is not installed; pip install ragkit-faiss" in told


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "there is no such file"),
        (b"name: caf\xe9\n", "x.yaml:1:10: byte 0xe9 is not UTF-8; save the file as UTF-8"),
        (b"#" * 1_000_001, "is larger than 1 MB; that is no configuration"),
    ],
)
def test_files_that_cannot_be_read(content: bytes | None, told: str, host: Host, tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError, match=told):
        load(file, host)


def test_a_folder_in_place_of_a_file(host: Host, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is a folder, not a YAML file"):
        load(tmp_path, host)


def test_an_alias_bomb_is_refused(problems: Problems) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    assert "more than 50000 values; are aliases nested?" in problems("\n".join(lines))[0]


def test_what_a_validator_of_a_plugin_raises_is_a_problem_too(tmp_path: Path) -> None:
    from types import SimpleNamespace

    from pydantic import field_validator

    from ragkit import Component, Options, hookimpl

    class Broken(Options):
        path: str

        @field_validator("path")
        @classmethod
        def _fails(cls, value: str) -> str:
            raise KeyError(value)

    @hookimpl
    def ragkit_sources() -> list[Component]:
        return [Component("broken", Broken, lambda options, context: None)]

    host = Host(plugins=[SimpleNamespace(ragkit_sources=ragkit_sources)], entry_points=False, builtins=False)
    with pytest.raises(ConfigError, match="the options of broken cannot be checked: KeyError: 'x'"):
        parse({"sources": [{"use": "broken", "path": "x"}]}, host, folder=tmp_path)
