"""`render` says everything, and what it says can be loaded again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ragkit.config import Config, load, render, to_yaml
from ragkit.host import Host

Load = Callable[..., Config]

FULL = """
name: "0o17"
state: postgresql://host/db
sources:
  - {use: files, path: docs, include: ["**/*.md", "yes", "12:30"]}
  - {use: web, url: "https://example.org/$${page}"}
clean: []
chunker: {use: token, size: 64, lead: title}
embedding: fake
vector_store: {use: faiss, index: {m: 4, kind: flat}, labels: {a: [1, 2.5, null, "1e3"], "on": true}}
retriever: {use: hybrid, name: both, legs: [keyword, {use: hybrid, alpha: 1e-3}]}
rerankers: [{use: shuffle, name: again}, shuffle]
top_k: 1000
filter: "kind = '$${x}' or not (year>=2020 and category in [a, 'b c'])"
answer: llm
llm: echo
"""


def test_a_rendered_configuration_is_equal_when_read_again(read: Load, host: Host, tmp_path: Path) -> None:
    config = read(FULL)
    again = tmp_path / "again.yaml"
    again.write_text(to_yaml(render(config)), encoding="utf-8")
    loaded = load(again, host, environ={})
    assert loaded.model_copy(update={"file": config.file}) == config
    assert render(loaded) == render(config)


def test_defaults_are_written_out(read: Load) -> None:
    full = render(read("sources: [{use: files, path: docs}]"))
    assert full["chunker"] == {"use": "sentence", "size": None, "overlap": 32, "lead": "none"}
    assert [leg["name"] for leg in full["retriever"]["legs"]] == ["dense", "keyword"]
    assert (full["top_k"], full["llm"], full["clean"]) == (5, None, [{"use": "whitespace"}])
    assert "file" not in full
