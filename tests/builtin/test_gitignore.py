"""`.gitignore` files mean for the source `files` what they mean for Git, which is asked for comparison."""

from __future__ import annotations

import random
import subprocess
import time
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from ragkit.builtin.sources import FilesOptions
from ragkit.builtin.sources.files import FilesSource
from ragkit.errors import SourceError


def uris(path: Path, **options: Any) -> list[str]:
    return [entry.uri for entry in FilesSource(FilesOptions(path=path, **options)).entries()]


def write(folder: Path, *names: str, text: str = "text") -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-c", "core.excludesFile=/dev/null", "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def listed_by_git(folder: Path) -> list[str]:
    found = git(folder, "ls-files", "--others", "--exclude-standard", "-z").split("\0")
    return sorted(name for name in found if name.endswith((".md", ".txt")))


def test_ignored_files_are_left_out(tmp_path: Path) -> None:
    write(tmp_path, "a.md", "b.tmp.md", "out/c.md", "sub/out/d.md", "sub/e.md")
    write(tmp_path, ".gitignore", text="# built\n*.tmp.md\n/out/\n")
    assert uris(tmp_path) == ["a.md", "sub/e.md", "sub/out/d.md"]
    assert uris(tmp_path, gitignore=False) == ["a.md", "b.tmp.md", "out/c.md", "sub/e.md", "sub/out/d.md"]


def test_an_inner_file_says_more_than_an_outer_one(tmp_path: Path) -> None:
    write(tmp_path, "a.txt", "sub/a.txt", "sub/b.md", "sub/deep/a.txt", "sub/deep/b.md")
    write(tmp_path, ".gitignore", text="*.txt\n")
    write(tmp_path, "sub/.gitignore", text="!a.txt\n/b.md\n")
    assert uris(tmp_path) == ["sub/a.txt", "sub/deep/a.txt", "sub/deep/b.md"]


def test_the_repository_around_the_folder_counts(tmp_path: Path) -> None:
    write(tmp_path, "docs/a.md", "docs/_build/b.md", "docs/c.md", "docs/d.md")
    write(tmp_path, ".gitignore", text="/docs/_build/\n")
    assert uris(tmp_path / "docs") == ["_build/b.md", "a.md", "c.md", "d.md"]
    git(tmp_path, "init", "-q")
    write(tmp_path, ".git/info/exclude", text="c.md\n")
    assert uris(tmp_path / "docs") == ["a.md", "d.md"]
    assert uris(tmp_path) == ["docs/a.md", "docs/d.md"]


def test_a_folder_that_is_ignored_but_named_is_read(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    write(tmp_path, "data/a.md", "data/sub/b.md", "data/sub/c.md")
    write(tmp_path, ".gitignore", text="/data/\n")
    write(tmp_path, "data/sub/.gitignore", text="c.md\n")
    assert uris(tmp_path / "data") == ["a.md", "sub/b.md"]
    write(tmp_path, ".gitignore", text="*\n")
    assert uris(tmp_path / "data") == ["a.md", "sub/b.md"]
    write(tmp_path, "data/sub/.gitignore", text="*\n")
    assert uris(tmp_path / "data" / "sub" / "b.md") == ["b.md"]


def test_what_is_no_pattern_is_passed_over(tmp_path: Path) -> None:
    write(tmp_path, "a.md", "b.md", "x/c.md")
    (tmp_path / ".gitignore").write_bytes(b"!\n\xff\xfe\n/b.md\r\n")
    (tmp_path / "x" / ".gitignore").mkdir()
    assert uris(tmp_path) == ["a.md", "x/c.md"]


def test_a_file_of_patterns_that_cannot_be_read_ends_the_listing(open_folder: Path, nobody: AbstractContextManager[None]) -> None:
    write(open_folder, "a.md", ".gitignore")
    (open_folder / ".gitignore").chmod(0)
    with nobody:
        with pytest.raises(SourceError, match=r"\.gitignore cannot be read: Permission denied\n.*gitignore: false"):
            uris(open_folder)
        assert uris(open_folder, gitignore=False) == ["a.md"]


def test_no_pattern_takes_long(tmp_path: Path) -> None:
    write(tmp_path, "a" * 250 + ".md", "x/" * 40 + "a.md")
    write(tmp_path, ".gitignore", text="*a" * 40 + "*b\n" + "**/x/" * 30 + "b\n" + "**/" * 400 + "b\n" + "[a-" * 1_000 + "\n")
    started = time.monotonic()
    assert len(uris(tmp_path)) == 2
    assert time.monotonic() - started < 5


NAMES = ("a", "b", "docs", "out", "x.md", "y.md", "z.txt")
PATTERNS = (
    "*", "*/", "!*/", "!*.md", "*.md", "/docs", "docs/", "out", "!out/", "a/b", "a/**", "**/b", "a/**/x.md", "!x.md", "/x.md",
    "[xy].md", "[!x].md", "[[:alpha:]].txt", "do*s", "***", "a/*/x.md", "x.md\\ ", "**/out/", "!/**/y.md", "!y.md", "\\!odd",
    "b/*", "!b/x.md", "#no", "x.md ", "?.txt", "**", "!/docs/",
)  # fmt: skip


@pytest.mark.parametrize("seed", range(25))
def test_lists_what_git_lists(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    folders = ["", *("/".join(chance.choices(NAMES[:4], k=chance.randint(1, 3))) + "/" for _ in range(6))]
    for folder in folders:
        write(tmp_path, *(f"{folder}{name}" for name in chance.sample(NAMES[4:], 2)))
    for folder in chance.sample(folders, 3):
        write(tmp_path, f"{folder}.gitignore", text="\n".join(chance.sample(PATTERNS, chance.randint(1, 4))) + "\n")
    git(tmp_path, "init", "-q")
    assert uris(tmp_path) == listed_by_git(tmp_path)
