"""The house holds: layers, versions, and what may not stand in it."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import ragkit

ROOT = Path(__file__).parent.parent.parent


def tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [path for name in listed.stdout.splitlines() if (path := ROOT / name).is_file()]


def test_the_layers_hold() -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-logo"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_public_names_are_there() -> None:
    assert [name for name in ragkit.__all__ if not hasattr(ragkit, name)] == []


def test_modules_and_functions_stay_small() -> None:
    import ast

    modules = [*(ROOT / "ragkit").rglob("*.py"), *(ROOT / "plugins").glob("*/ragkit_*/**/*.py")]
    texts = {path: path.read_text(encoding="utf-8") for path in modules}
    assert [str(path) for path, text in texts.items() if text.count("\n") > 300] == []
    functions = [(path, node) for path, text in texts.items() for node in ast.walk(ast.parse(text))]
    long = [
        f"{path}:{node.lineno} {node.name}"
        for path, node in functions
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (node.end_lineno or 0) - node.lineno >= 50
    ]
    assert long == []


def test_every_dependency_is_pinned() -> None:
    pinned = {_normal(line.partition("==")[0]) for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line}
    for file in [ROOT / "pyproject.toml", *(ROOT / "plugins").glob("*/pyproject.toml")]:
        project = tomllib.loads(file.read_text(encoding="utf-8"))["project"]
        wanted = [
            *project["dependencies"],
            *(item for extra in project.get("optional-dependencies", {}).values() for item in extra),
        ]
        names = {_normal(re.split(r"[\s<>=!~\[;]", requirement)[0]) for requirement in wanted}
        assert {name for name in names if not name.startswith("ragkit")} <= pinned, file


def test_plugins_have_the_version_of_ragkit() -> None:
    for file in (ROOT / "plugins").glob("*/pyproject.toml"):
        project = tomllib.loads(file.read_text(encoding="utf-8"))["project"]
        assert project["version"] == ragkit.__version__, file


def test_nothing_is_left_undone() -> None:
    marks = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|XX" + r"X)\b")
    code = [path for path in tracked() if path.suffix in {".py", ".md", ".toml", ".yaml"}]
    assert code
    assert [str(path) for path in code if marks.search(path.read_text(encoding="utf-8"))] == []


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
