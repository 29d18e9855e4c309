"""The documentation says what is so: hooks, members, help texts, links, snippets."""

from __future__ import annotations

import inspect
import re
import shutil
import sys
from pathlib import Path

import pytest
import reference
import yaml
from scripts import Scripts

from ragkit import BuildContext, hookspecs
from ragkit.components import protocols
from ragkit.config import parse
from ragkit.host import Host

ROOT = reference.ROOT
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "plugins").glob("*/README.md")])
SNIPPET = re.compile(r"^```(\w+) (\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def snippets(language: str, use: str) -> list[object]:
    """The fenced blocks that open with, say, "```python run"."""
    return [
        pytest.param(match[3], id=f"{page.relative_to(ROOT)}-{number}")
        for page in PAGES
        for number, match in enumerate(SNIPPET.finditer(page.read_text(encoding="utf-8")), 1)
        if (match[1], match[2]) == (language, use)
    ]


def prose(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", reference.PAGES)
def test_generated_parts_are_up_to_date(name: str) -> None:
    assert (ROOT / name).read_text(encoding="utf-8") == reference.page(name), "make docs"


@pytest.mark.parametrize("hook", [name for name in vars(hookspecs) if name.startswith("ragkit_")])
def test_every_hook_is_documented_with_its_signature(hook: str) -> None:
    signature = inspect.signature(getattr(hookspecs, hook), eval_str=False)
    returned = str(signature.return_annotation).strip("'")
    assert f"`{hook}({', '.join(signature.parameters)}) -> {returned}`" in prose("plugins.md")


@pytest.mark.parametrize("member", [name for name in vars(BuildContext) if not name.startswith("_")])
def test_every_member_of_the_build_context_is_documented(member: str) -> None:
    found = inspect.getattr_static(BuildContext, member)
    call = "" if isinstance(found, property) else f"({', '.join(list(inspect.signature(found).parameters)[1:])})"
    assert f"`context.{member}{call}`" in prose("plugins.md")


def test_every_component_stands_in_the_readme() -> None:
    rows = re.findall(r"^\| [\w ]+ \| `(\w+)` \|(.*)\|$", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    told = {(key, name) for key, cells in rows for name in re.findall(r"`([\w-]+)`", cells)}
    offered = [(plugin, kind.yaml_key, component.name) for plugin in Host().plugins for kind, component in plugin.components]
    assert told == {(key, name) for plugin, key, name in offered if plugin.distribution in reference.FIRST_PARTY}


def test_every_protocol_is_documented() -> None:
    offered = [name for name, item in vars(protocols).items() if getattr(item, "_is_runtime_protocol", False)]
    page = prose("plugins.md")
    assert "SearchesIds" in offered
    assert [name for name in offered if f"`{name}`" not in page and name != "Tokenizer"] == []


def test_every_decision_is_listed() -> None:
    records = {path.name for path in (ROOT / "docs" / "decisions").glob("0*.md")}
    assert records == set(re.findall(r"\((0\d{3}-[^)]+\.md)\)", prose("decisions/README.md")))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    local = [target for target in LINK.findall(text) if "://" not in target]
    assert [target for target in local if not (page.parent / target.partition("#")[0]).exists()] == []


@pytest.mark.parametrize("text", snippets("yaml", "validate"))
def test_yaml_in_the_documentation_is_valid(text: str, tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    assert parse(yaml.safe_load(text), Host(), folder=tmp_path).sources


@pytest.mark.parametrize("text", snippets("python", "plugin"))
def test_plugins_in_the_documentation_can_be_chosen(text: str) -> None:
    import types

    module = types.ModuleType("documented_plugin")
    sys.modules[module.__name__] = module
    try:
        exec(compile(text, "documented_plugin.py", "exec"), vars(module))
        (info,) = [info for info in Host(plugins=[module], entry_points=False).plugins if info.name.endswith("documented_plugin")]
    finally:
        del sys.modules[module.__name__]
    assert info.state == "loaded"
    assert info.components


@pytest.mark.xdist_group("scripts")
@pytest.mark.parametrize("text", snippets("python", "run"))
def test_python_in_the_documentation_runs(text: str, scripts: Scripts, tmp_path: Path) -> None:
    shutil.copy(ROOT / "docs" / "concepts.md", tmp_path)
    (tmp_path / "ragkit.yaml").write_text("sources: [{use: files, path: ., include: ['*.md']}]\n", encoding="utf-8")
    (tmp_path / "snippet.py").write_text(text, encoding="utf-8")
    done = scripts.run(tmp_path / "snippet.py", tmp_path)
    assert done.status == 0, done.err


def test_there_are_snippets_to_test() -> None:
    assert all(snippets(*kind) for kind in (("yaml", "validate"), ("python", "plugin"), ("python", "run")))
