"""Starting costs little: what no command line needs is not imported. `tests/benchmarks/startup.py` measures the seconds."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("chromadb", "faiss", "llama_index", "numpy", "sentence_transformers", "sqlalchemy", "torch", "transformers")

PROBE = """
import sys
from ragkit.cli import main
try:
    main()
finally:
    import json
    sys.stderr.write("\\n" + json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


def imported_by(folder: Path, *arguments: str) -> set[str]:
    done = subprocess.run([sys.executable, "-c", PROBE, *arguments], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stderr.splitlines()[-1]))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "guide.md").write_text("# Guide\n", encoding="utf-8")
    (tmp_path / "ragkit.yaml").write_text("sources: [{use: files, path: .}]\n", encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("command", [("--help",), ("--version",), ("search", "--help"), ("init", "--force")])
def test_arguments_cost_no_library(folder: Path, command: tuple[str, ...]) -> None:
    assert not imported_by(folder, *command) & {*HEAVY, "rich", "asyncio"}


@pytest.mark.parametrize("command", [("check",), ("schema",), ("config",), ("plugins",)])
def test_reading_the_configuration_costs_no_sdk(folder: Path, command: tuple[str, ...]) -> None:
    assert not imported_by(folder, *command) & set(HEAVY)


def test_the_contracts_cost_no_library() -> None:
    modules = "ragkit, ragkit.hookspecs, ragkit.errors, ragkit.text, ragkit.host, ragkit.config, ragkit.cli.app"
    probe = f"import sys, {modules}; print(*(name for name in {HEAVY!r} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert not done.stdout.strip()


def test_a_state_in_a_folder_costs_no_postgresql(folder: Path) -> None:
    probe = """
import sys
from ragkit import Pipeline
from ragkit.host import Host
from ragkit.testing import plugin
with Pipeline.from_yaml("ragkit.yaml", host=Host(plugins=[plugin]), overrides=["embedding=fake"]) as pipeline:
    pipeline.ingest()
    assert pipeline.search("Guide").hits
    pipeline.status()
print(*(name for name in ("psycopg", "sqlalchemy.dialects.postgresql") if name in sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", probe], cwd=folder, capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.returncode) == ("", 0), done.stdout + done.stderr
