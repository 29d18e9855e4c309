"""The source `files`: what it lists, and what it says of a folder or a file that it cannot read."""

from __future__ import annotations

import itertools
import os
import shutil
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from ragkit.builtin.sources import FilesOptions, files, ragkit_sources
from ragkit.builtin.sources.files import FilesSource
from ragkit.components import Entry, ListsEntries
from ragkit.errors import DocumentError, DocumentGone, SourceError


def source(path: Path, **options: Any) -> FilesSource:
    (component,) = [offered for offered in ragkit_sources() if offered.name == "files"]
    built = component.build(FilesOptions(path=path, **options), None)  # type: ignore[arg-type]
    assert isinstance(built, ListsEntries)
    assert isinstance(built, FilesSource)
    return built


def uris(path: Path, **options: Any) -> list[str]:
    return [entry.uri for entry in source(path, **options).entries()]


def entry_of(path: Path, uri: str, **options: Any) -> Entry:
    return next(entry for entry in source(path, **options).entries() if entry.uri == uri)


def write(folder: Path, *names: str, text: str = "text") -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def age(path: Path, seconds: float = 60) -> None:
    then = path.stat().st_mtime - seconds
    os.utime(path, (then, then))


def test_lists_in_the_order_of_uris(tmp_path: Path) -> None:
    write(tmp_path, "b.md", "a/z.md", "a.md", "a-b.md", "c/d/e.txt", "READ.PDF", "x.exe", "node_modules/m.md")
    found = uris(tmp_path)
    assert found == ["READ.PDF", "a-b.md", "a.md", "a/z.md", "b.md", "c/d/e.txt"]
    assert found == sorted(found)


def test_lists_lazily(tmp_path: Path) -> None:
    write(tmp_path, "a.md", "b/c.md")
    listing = source(tmp_path).entries()
    assert next(listing).uri == "a.md"
    write(tmp_path, "b/d.md")
    assert [entry.uri for entry in listing] == ["b/c.md", "b/d.md"]


def test_patterns(tmp_path: Path) -> None:
    write(tmp_path, "a.md", "b.txt", "drafts/c.md", "x/drafts/d.md", "x/e.md", ".hidden/f.md", ".g.md")
    assert uris(tmp_path, include=["**/*.md"], exclude=["drafts/"]) == ["a.md", "x/e.md"]
    assert uris(tmp_path, include=["*.md"], exclude=["/drafts/"]) == ["a.md", "x/drafts/d.md", "x/e.md"]
    assert uris(tmp_path, include=["*.MD"], exclude=["x"], hidden=True) == [".g.md", ".hidden/f.md", "a.md", "drafts/c.md"]
    assert uris(tmp_path, include=["*.py"]) == []
    write(tmp_path, "book.md/f.html", "book.md/g.txt", "book.MD/x/h.html")
    assert uris(tmp_path, include=["**/*.md"], exclude=["**/*.txt", "drafts"]) == [
        "a.md", "book.MD/x/h.html", "book.md/f.html", "x/e.md",
    ]  # fmt: skip
    assert uris(tmp_path, include=["**/*.md", "!**/*.html", "/b.txt"], exclude=["drafts", "**/*.md/"]) == [
        "a.md",
        "b.txt",
        "x/e.md",
    ]


@pytest.mark.parametrize(
    "bad", [{"include": [""]}, {"include": []}, {"exclude": ["!"]}, {"encoding": "klingon"}, {"max_bytes": 0}]
)
def test_bad_options(tmp_path: Path, bad: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        FilesOptions(path=tmp_path, **bad)


def test_one_file(tmp_path: Path) -> None:
    write(tmp_path, "only.py", "other.md", text="x = 1")
    (document,) = source(tmp_path / "only.py")
    assert (document.id_, document.text, document.metadata["uri"]) == ("only.py", "x = 1", "only.py")


def test_a_document_carries_its_uri_and_title(tmp_path: Path) -> None:
    write(tmp_path, "guide/install.md", text="# Install { #install }\n\nRun it.\n")
    (document,) = source(tmp_path)
    assert document.id_ == "guide/install.md"
    assert document.metadata == {
        "uri": "guide/install.md", "title": "Install", "format": "markdown", "file_type": "text/markdown",
    }  # fmt: skip


def test_moving_the_folder_changes_no_uri_and_no_stamp(tmp_path: Path) -> None:
    write(tmp_path, "one/a.md")
    age(tmp_path / "one/a.md")
    before = [(entry.uri, entry.stamp) for entry in source(tmp_path / "one").entries()]
    (tmp_path / "one").rename(tmp_path / "two")
    assert [(entry.uri, entry.stamp) for entry in source(tmp_path / "two").entries()] == before


def test_a_stamp_changes_with_size_time_and_inode(tmp_path: Path) -> None:
    path = tmp_path / "a.md"
    write(tmp_path, "a.md")
    age(path)
    first = entry_of(tmp_path, "a.md").stamp
    assert first
    assert entry_of(tmp_path, "a.md").stamp == first
    copy = tmp_path / "copy"
    shutil.copy2(path, copy)
    copy.replace(path)
    second = entry_of(tmp_path, "a.md").stamp
    age(path)
    third = entry_of(tmp_path, "a.md").stamp
    assert len({first, second, third}) == 3


def test_a_file_changed_just_now_has_no_stamp(tmp_path: Path) -> None:
    write(tmp_path, "now.md", "later.md")
    os.utime(tmp_path / "later.md", (2**33, 2**33))
    assert [entry.stamp for entry in source(tmp_path).entries()] == [None, None]


def test_the_version_names_what_converts(tmp_path: Path) -> None:
    write(tmp_path, "a.md", "b.html", "c.pdf", "d.txt")
    versions = [entry.version for entry in source(tmp_path).entries()]
    assert len(set(versions)) == 4
    assert "pypdf" in versions[2]
    assert entry_of(tmp_path, "d.txt", encoding="cp1251").version != versions[3]


def test_links_are_followed_within_the_folder_only(tmp_path: Path) -> None:
    write(tmp_path, "outside.md", "outside/b.md", "root/a.md", "root/sub/c.md")
    root = tmp_path / "root"
    (root / "inside.md").symlink_to("sub/c.md")
    (root / "escape.md").symlink_to(tmp_path / "outside.md")
    (root / "folder").symlink_to(tmp_path / "outside")
    (root / "sub/up").symlink_to("..")
    (root / "loop.md").symlink_to("loop.md")
    (root / "dangling.md").symlink_to("nothing.md")
    assert uris(root) == ["a.md", "inside.md", "sub/c.md"]


def test_a_file_that_became_a_link_out_is_not_read(tmp_path: Path) -> None:
    write(tmp_path, "secret.md", "root/a.md", "root/sub/b.md")
    root = tmp_path / "root"
    entries = list(source(root).entries())
    (root / "a.md").unlink()
    (root / "a.md").symlink_to(tmp_path / "secret.md")
    shutil.rmtree(root / "sub")
    (root / "sub").symlink_to(tmp_path)
    write(tmp_path, "b.md")
    for entry in entries:
        with pytest.raises(DocumentError, match="link out of the folder"):
            entry.read()


def test_a_root_that_is_a_link_is_fine(tmp_path: Path) -> None:
    write(tmp_path, "real/a.md")
    (tmp_path / "alias").symlink_to("real")
    assert uris(tmp_path / "alias") == ["a.md"]


def test_pipes_are_left_out(tmp_path: Path) -> None:
    write(tmp_path, "a.md", "b.md")
    os.mkfifo(tmp_path / "pipe.md")
    entries = list(source(tmp_path).entries())
    assert [entry.uri for entry in entries] == ["a.md", "b.md"]
    (tmp_path / "b.md").unlink()
    os.mkfifo(tmp_path / "b.md")
    with pytest.raises(DocumentError, match="no regular file"):
        entries[1].read()


def test_a_name_that_is_no_utf8(tmp_path: Path) -> None:
    with open(os.fsencode(tmp_path) + b"/caf\xe9.md", "w") as file:  # noqa: PTH123 - a path of bytes
        file.write("text")
    (document,) = source(tmp_path)
    assert document.id_ == "caf\\xe9.md"


def test_a_missing_folder(tmp_path: Path) -> None:
    listing = source(tmp_path / "nothing").entries()
    with pytest.raises(SourceError, match=r"nothing does not exist\n.*`path`"):
        next(listing)


def test_a_root_that_is_no_folder(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(SourceError, match="neither a folder nor a file"):
        uris(tmp_path / "pipe")
    with pytest.raises(SourceError, match="cannot be listed"):
        uris(tmp_path / "loop")


def test_an_unreadable_folder_ends_the_listing(open_folder: Path, nobody: AbstractContextManager[None]) -> None:
    write(open_folder, "a.md", "b/c.md", "d.md")
    (open_folder / "b").chmod(0)
    with nobody:
        listing = source(open_folder).entries()
        assert next(listing).uri == "a.md"
        with pytest.raises(SourceError, match=r"no permission to list .*/b\n.*exclude"):
            next(listing)
        assert uris(open_folder, exclude=["/b/"]) == ["a.md", "d.md"]
        (open_folder / "a.md").stat()
    (open_folder / "b").chmod(0o755)


def test_an_unreadable_file_fails_alone(open_folder: Path, nobody: AbstractContextManager[None]) -> None:
    write(open_folder, "a.md", "b.md")
    (open_folder / "a.md").chmod(0)
    with nobody:
        first, second = source(open_folder).entries()
        with pytest.raises(DocumentError, match=r"a\.md: no permission") as caught:
            first.read()
        assert caught.value.uri == "a.md"
        assert not isinstance(caught.value, DocumentGone)
        assert second.read() == b"text"


def test_a_deleted_file_is_gone(tmp_path: Path) -> None:
    write(tmp_path, "a.md", "b/c.md")
    first, second = source(tmp_path).entries()
    (tmp_path / "a.md").unlink()
    shutil.rmtree(tmp_path / "b")
    for entry in (first, second):
        with pytest.raises(DocumentGone, match="was deleted"):
            entry.read()


def test_a_folder_that_goes_away_removes_nothing(tmp_path: Path) -> None:
    root = tmp_path / "root"
    write(root, "a.md", "b.md", "c.md")
    listing = source(root).entries()
    first = next(listing)
    root.rename(tmp_path / "elsewhere")
    root.mkdir()  # the mount point that an unmounted folder leaves
    with pytest.raises(DocumentError, match="is gone") as caught:
        first.read()
    assert not isinstance(caught.value, DocumentGone)
    with pytest.raises(SourceError, match="changed while it was being listed"):
        list(listing)


def test_a_subfolder_that_vanishes_ends_the_listing(tmp_path: Path) -> None:
    write(tmp_path, "a.md", "b/c.md")
    listing = source(tmp_path).entries()
    next(listing)
    shutil.rmtree(tmp_path / "b")
    with pytest.raises(SourceError, match="changed while it was being listed"):
        next(listing)


def test_a_disk_that_fails_midway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "a/b.md", "c/d.md")
    real, calls = os.scandir, itertools.count()

    def scandir(path: Path) -> Any:
        if next(calls) == 2:
            raise OSError(5, "Input/output error")
        return real(path)

    monkeypatch.setattr(files.os, "scandir", scandir)
    listing = source(tmp_path).entries()
    assert next(listing).uri == "a/b.md"
    with pytest.raises(SourceError, match=r"c cannot be listed: Input/output error\n.*mounted"):
        next(listing)


def test_a_file_that_is_too_large(tmp_path: Path) -> None:
    with (tmp_path / "big.txt").open("wb") as file:
        file.truncate(2_000_000_000)
    write(tmp_path, "exact.txt", text="x" * 100)
    big, exact = source(tmp_path, max_bytes=100).entries()
    with pytest.raises(
        DocumentError, match=r"big\.txt: has 2,000,000,000 bytes, more than max_bytes \(100\)\n.*raise `max_bytes`"
    ):
        big.read()
    assert len(exact.read()) == 100


def test_an_empty_file_is_an_empty_document(tmp_path: Path) -> None:
    write(tmp_path, "a.md", "b.txt", "c.html", text="")
    assert [document.text for document in source(tmp_path)] == ["", "", ""]
