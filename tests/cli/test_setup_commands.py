"""`init`, `check`, `schema`, `config`, `plugins`, and what the command line does with errors."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

import ragkit as package
from ragkit.errors import StateError

Ragkit = Callable[..., Any]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "handbook").mkdir()
    for name in ("leave.md", "travel.md", "old.HTML", "notes.xyz"):
        (tmp_path / "handbook" / name).write_text("# Title\n\nText.\n", encoding="utf-8")
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "secret.txt").write_text("no", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_version(ragkit: Ragkit) -> None:
    assert ragkit("--version").out == f"ragkit {package.__version__}\n"


def test_init_writes_what_check_accepts(ragkit: Ragkit, folder: Path) -> None:
    done = ragkit("init")
    assert done.status == 0
    assert "ragkit ingest" in done.out
    written = yaml.safe_load((folder / "ragkit.yaml").read_text(encoding="utf-8"))
    assert written["name"] == folder.name
    assert written["sources"] == [{"use": "files", "path": ".", "include": ["**/*.md", "**/*.html"]}]
    assert ragkit("check").status == 0


def test_what_init_leaves_commented_is_the_default(ragkit: Ragkit, folder: Path) -> None:
    ragkit("init")
    plain = ragkit("config", "--json").json
    text = (folder / "ragkit.yaml").read_text(encoding="utf-8")
    settings = [line.removeprefix("# ") for line in text.splitlines() if line.startswith("# ") and ": " in line]
    taken = [line for line in settings if line.partition(":")[0] in plain]
    assert len(taken) == 10
    (folder / "ragkit.yaml").write_text(text + "\n" + "\n".join(taken) + "\n", encoding="utf-8")
    assert ragkit("config", "--json").json == plain


def test_init_in_another_folder_says_how_to_name_it(ragkit: Ragkit, folder: Path) -> None:
    (folder / "my documents").mkdir()
    done = ragkit("init", "my documents")
    assert done.status == 0
    assert "ragkit ingest -c 'my documents/ragkit.yaml'" in done.out


def test_init_overwrites_only_when_told(ragkit: Ragkit, folder: Path) -> None:
    (folder / "ragkit.yaml").write_text("mine", encoding="utf-8")
    done = ragkit("init")
    assert (done.status, done.out) == (2, "")
    assert "--force" in done.err
    assert (folder / "ragkit.yaml").read_text(encoding="utf-8") == "mine"
    assert ragkit("init", "--force").status == 0
    assert (folder / "ragkit.yaml").read_text(encoding="utf-8") != "mine"


def test_init_in_no_folder(ragkit: Ragkit, folder: Path) -> None:
    assert ragkit("init", "nowhere").status == 2


def test_check_lists_what_was_chosen(ragkit: Ragkit, folder: Path) -> None:
    ragkit("init")
    done = ragkit("check", "--json")
    assert done.json["valid"] is True
    chosen = {row["key"]: row["use"] for row in done.json["components"]}
    assert chosen["sources"] == "files"
    assert (chosen["retriever"], chosen["vector_store"], chosen["keyword_store"]) == ("hybrid", "faiss", "bm25")
    assert "hybrid" in ragkit("check").out


def test_check_reports_every_problem_at_its_place(ragkit: Ragkit, folder: Path) -> None:
    (folder / "ragkit.yaml").write_text("sources:\n  - use: flies\n    path: .\ntop_k: none\ntopk: 3\n", encoding="utf-8")
    done = ragkit("check")
    assert (done.status, done.out) == (2, "")
    for place in ("ragkit.yaml:2:", "ragkit.yaml:4:", "ragkit.yaml:5:1:"):
        assert place in done.err
    assert "'files'" in done.err
    assert "Traceback" not in done.err
    as_json = ragkit("check", "--json")
    assert as_json.status == 2
    assert as_json.json["valid"] is False
    assert {problem["line"] for problem in as_json.json["problems"]} == {2, 4, 5}


def test_a_file_that_is_not_there(ragkit: Ragkit, folder: Path) -> None:
    for command in (["check"], ["config"], ["ingest"], ["search", "x"], ["ask", "x"], ["status"], ["views"]):
        done = ragkit(*command)
        assert (done.status, done.out) == (2, ""), command
        assert "ragkit.yaml" in done.err


def test_config_prints_overrides_and_defaults_and_no_traceback(ragkit: Ragkit, folder: Path) -> None:
    ragkit("init")
    told = yaml.safe_load(ragkit("config", "--set", "top_k=7", "--set", "retriever.alpha=0.3").out)
    assert (told["top_k"], told["retriever"]["alpha"], told["chunker"]["overlap"]) == (7, 0.3, 32)
    assert ragkit("config", "--set", "top_k=7", "--json").json["top_k"] == 7
    wrong = ragkit("config", "--set", "top_k=many")
    assert (wrong.status, wrong.out) == (2, "")
    assert "top_k" in wrong.err


def test_config_can_be_read_again(ragkit: Ragkit, folder: Path) -> None:
    ragkit("init")
    first = ragkit("config").out
    (folder / "full.yaml").write_text(first, encoding="utf-8")
    assert ragkit("config", "-c", "full.yaml").out == first


def test_schema_is_json(ragkit: Ragkit) -> None:
    assert ragkit("schema").json == ragkit("schema", "--json").json
    assert "sources" in json.dumps(ragkit("schema").json)


def test_plugins_are_listed(ragkit: Ragkit) -> None:
    table = ragkit("plugins").out
    assert "ragkit-chroma" in table
    assert not set(table) & set("│┃━─\x1b")
    plugins = {plugin["name"]: plugin for plugin in ragkit("plugins", "--json").json["plugins"]}
    chroma = plugins["chroma"]
    assert (chroma["distribution"], chroma["state"], chroma["error"]) == ("ragkit-chroma", "loaded", "")
    (store,) = chroma["components"]
    assert (store["name"], store["kind"], store["capabilities"]["processes"]) == ("chroma", "vector_store", "one")


@pytest.mark.parametrize("arguments", [["nonsense"], ["search"], ["check", "--nonsense"], ["ingest", "--limit", "0"]])
def test_wrong_arguments(ragkit: Ragkit, arguments: list[str]) -> None:
    done = ragkit(*arguments)
    assert (done.status, done.out) == (2, "")
    assert "Traceback" not in done.err


def test_an_error_to_mend_has_no_traceback(ragkit: Ragkit, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise StateError("the state is upside down", cure="turn it")

    monkeypatch.setattr("ragkit.cli.setup.open_host", broken)
    done = ragkit("plugins")
    assert (done.status, done.out, done.err) == (1, "", "error: the state is upside down\n  → turn it\n")


def test_a_bug_keeps_its_traceback(ragkit: Ragkit, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("ragkit.cli.setup.open_host", broken)
    with pytest.raises(ZeroDivisionError):
        ragkit("plugins")


def test_completion_is_there(ragkit: Ragkit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_RAGKIT_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", "ragkit s")
    monkeypatch.setenv("COMP_CWORD", "1")
    assert set(ragkit().out.split()) == {"schema", "search", "serve", "status"}
