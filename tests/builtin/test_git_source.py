"""The source `git`: real repositories, local and over HTTP; what is read again, what is left out, what is refused."""

from __future__ import annotations

import base64
import os
import subprocess
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from git_server import GitServer, Repository, serving
from projects import Project
from pydantic import ValidationError

from ragkit.builtin.sources import ragkit_sources
from ragkit.builtin.sources.addresses import is_public
from ragkit.builtin.sources.git import GitSource
from ragkit.builtin.sources.git_command import Git
from ragkit.builtin.sources.git_options import GitOptions
from ragkit.components import Entry, ListsEntries
from ragkit.errors import DocumentError, DocumentGone, SourceError
from ragkit.testing import build_context


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "repositories" / "rivers")


@pytest.fixture
def server(repository: Repository) -> Iterator[GitServer]:
    with serving(repository.path.parent) as server:
        yield server


def source(folder: Path, **options: Any) -> GitSource:
    (component,) = [offered for offered in ragkit_sources() if offered.name == "git"]
    built = component.build(GitOptions(**options), build_context(folder / "state"))
    assert isinstance(built, ListsEntries)
    assert isinstance(built, GitSource)
    return built


def uris(folder: Path, **options: Any) -> list[str]:
    return [entry.uri for entry in source(folder, **options).entries()]


def texts(folder: Path, **options: Any) -> dict[str, str]:
    return {str(one.metadata["uri"]): one.text for one in source(folder, **options)}


def entry_of(folder: Path, uri: str, **options: Any) -> Entry:
    return next(entry for entry in source(folder, **options).entries() if entry.uri == uri)


def test_a_file_is_a_document(tmp_path: Path, repository: Repository) -> None:
    commit = repository.commit({"README.md": "# Rivers\n\nThey run.\n", "src/run.py": "def run():\n    return 1\n"})
    code, readme = sorted(source(tmp_path, path=repository.path), key=lambda one: one.metadata["uri"], reverse=True)
    common = {"commit": commit, "repository": "rivers", "category": "repository"}
    assert readme.metadata == {
        **common, "uri": "README.md", "path": "README.md", "title": "Rivers", "format": "markdown", "file_type": "text/markdown",
    }  # fmt: skip
    assert code.metadata == {
        **common, "uri": "src/run.py", "path": "src/run.py", "title": "run.py", "format": "text", "file_type": "text/plain",
        "language": "python", "programming_language": "python",
    }  # fmt: skip
    assert code.text == "def run():\n    return 1\n"


def test_what_is_committed_counts(tmp_path: Path, repository: Repository) -> None:
    repository.commit({"a.md": "committed"})
    repository.write("a.md", "changed")
    repository.write("b.md", "new")
    assert texts(tmp_path, path=repository.path) == {"a.md": "committed"}


def test_branches_tags_and_commits(tmp_path: Path, repository: Repository) -> None:
    first = repository.commit({"a.md": "one"})
    repository.git("tag", "-a", "v1", "-m", "first")
    repository.git("checkout", "-q", "-b", "feature/x")
    repository.commit({"a.md": "two"})
    repository.git("checkout", "-q", "main")
    repository.commit({"a.md": "three"})
    for ref, text in (
        (None, "three"),
        ("main", "three"),
        ("feature/x", "two"),
        ("v1", "one"),
        (first, "one"),
        (first[:8], "one"),
    ):
        assert texts(tmp_path, path=repository.path, ref=ref) == {"a.md": text}, ref
    with pytest.raises(SourceError, match="has no branch, tag or commit 'gone'"):
        uris(tmp_path, path=repository.path, ref="gone")


def test_a_branch_goes_before_a_tag_of_its_name(tmp_path: Path, repository: Repository, server: GitServer) -> None:
    repository.commit({"a.md": "tag"})
    repository.git("tag", "both")
    repository.git("checkout", "-q", "-b", "both")
    repository.commit({"a.md": "branch"})
    repository.git("branch", "x/both", "main")
    assert texts(tmp_path, path=repository.path, ref="both") == {"a.md": "branch"}
    remote = {"url": f"{server.url}/rivers", "allow_private": True}
    assert texts(tmp_path, **remote, ref="both") == {"a.md": "branch"}


def test_patterns_and_subpath(tmp_path: Path, repository: Repository) -> None:
    files = ["a.md", "docs/b.md", "docs/deep/c.py", "docs2/d.md", ".github/e.yml", "node_modules/f.js", "g.unknown", "x.min.js"]
    repository.commit(dict.fromkeys(files, "text"))
    assert uris(tmp_path, path=repository.path) == ["a.md", "docs/b.md", "docs/deep/c.py", "docs2/d.md"]
    assert uris(tmp_path, path=repository.path, subpath="docs/") == ["docs/b.md", "docs/deep/c.py"]
    assert uris(tmp_path, path=repository.path, subpath="./docs/b.md") == ["docs/b.md"]
    assert uris(tmp_path, path=repository.path, include=["*.md"], exclude=["/docs/"]) == ["a.md", "docs2/d.md"]
    assert uris(tmp_path, path=repository.path, include=["*"], exclude=[], hidden=True) == sorted(files)
    with pytest.raises(SourceError, match="has no 'nothing' at"):
        uris(tmp_path, path=repository.path, subpath="nothing")


def test_what_is_no_text_is_left_out(tmp_path: Path, repository: Repository) -> None:
    other = Repository(tmp_path / "repositories" / "other")
    inner = other.commit({"x.md": "inner"})
    repository.commit({"a.md": "text", "b.txt": b"\x00\x01\x02" * 100, "secret/c.md": "c"})
    (repository.path / "link.md").symlink_to("/etc/passwd")
    (repository.path / "folder").symlink_to("secret")
    repository.git("update-index", "--add", "--cacheinfo", f"160000,{inner},module.md")
    repository.git("add", "link.md", "folder")
    repository.git("commit", "-q", "-m", "odd")
    assert uris(tmp_path, path=repository.path, include=["*"]) == ["a.md", "b.txt", "secret/c.md"]
    binary = entry_of(tmp_path, "b.txt", path=repository.path)
    with pytest.raises(DocumentGone, match="is binary"):
        binary.convert(binary.read())


def test_odd_names(tmp_path: Path, repository: Repository) -> None:
    names = ["ü/文.md", "new\nline.md", 'quo"te.md', "tab\t.md", "-flag.md", " space .md", ":(glob)x.md", "*.md"]
    repository.commit(dict.fromkeys(names, "text"))
    blob = repository.git("hash-object", "-w", "--stdin", stdin=b"bytes")
    tree = repository.git("ls-tree", "-z", "HEAD").encode() + b"100644 blob " + blob.encode() + b"\tcaf\xe9.md\0"
    commit = repository.git("commit-tree", "-m", "x", repository.git("mktree", "-z", stdin=tree))
    repository.git("update-ref", "refs/heads/main", commit)
    found = texts(tmp_path, path=repository.path)
    assert sorted(found) == sorted([*names, "caf\\xe9.md"])
    assert found["caf\\xe9.md"] == "bytes"
    assert uris(tmp_path, path=repository.path, subpath="*.md") == ["*.md"]


def test_an_empty_repository_and_a_head_without_commit(tmp_path: Path, repository: Repository, server: GitServer) -> None:
    places: list[dict[str, Any]] = [{"path": repository.path}, {"url": f"{server.url}/rivers", "allow_private": True}]
    assert uris(tmp_path, **places[0]) == []
    with pytest.raises(SourceError, match="has no main branch, or is no repository"):
        uris(tmp_path, **places[1])
    repository.commit({"a.md": "text"})
    repository.git("symbolic-ref", "HEAD", "refs/heads/unborn")
    for place in places:
        with pytest.raises(SourceError, match=r"no commit|no main branch"):
            uris(tmp_path, **place)
        assert uris(tmp_path, **place, ref="main") == ["a.md"]


def test_a_bare_repository_and_what_is_none(tmp_path: Path, repository: Repository) -> None:
    repository.commit({"a.md": "text"})
    repository.git("clone", "-q", "--bare", ".", str(tmp_path / "bare.git"))
    assert uris(tmp_path, path=tmp_path / "bare.git") == ["a.md"]
    (repository.path / "docs").mkdir()
    with pytest.raises(SourceError, match="is no Git repository"):
        uris(tmp_path, path=repository.path / "docs")
    with pytest.raises(SourceError, match="is no folder"):
        uris(tmp_path, path=tmp_path / "none")


def test_a_damaged_repository_is_no_empty_one(tmp_path: Path, repository: Repository) -> None:
    repository.commit({"a.md": "text", "docs/b.md": "text"})
    tree = repository.git("rev-parse", "HEAD:docs")
    (repository.path / ".git" / "objects" / tree[:2] / tree[2:]).unlink()
    with pytest.raises(SourceError, match="cannot be listed at"):
        uris(tmp_path, path=repository.path)


def test_a_missing_content_is_its_files_failure(tmp_path: Path, repository: Repository) -> None:
    repository.commit({"a.md": "first", "b.md": "second", "c.md": "third"})
    entries = list(source(tmp_path, path=repository.path).entries())
    blob = repository.git("rev-parse", "HEAD:b.md")
    (repository.path / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    assert [entries[0].read(), entries[2].read()] == [b"first", b"third"]
    with pytest.raises(DocumentError, match=r"b\.md: the repository lacks its content"):
        entries[1].read()
    assert entries[2].read() == b"third"


def test_large_files_and_lfs_are_failures(tmp_path: Path, repository: Repository) -> None:
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 12345\n"
    repository.commit({"big.md": "x" * 1_001, "fits.md": "x" * 1_000, "lfs.pdf": pointer})
    with pytest.raises(DocumentError, match=r"big\.md: has 1,001 bytes, more than max_bytes \(1,000\)"):
        entry_of(tmp_path, "big.md", path=repository.path, max_bytes=1_000).read()
    assert entry_of(tmp_path, "fits.md", path=repository.path, max_bytes=1_000).read() == b"x" * 1_000
    with pytest.raises(DocumentError, match="lies in Git LFS"):
        entry_of(tmp_path, "lfs.pdf", path=repository.path).read()


def test_too_many_files(tmp_path: Path, repository: Repository) -> None:
    repository.commit({f"{number}.md": "x" for number in range(6)})
    assert len(uris(tmp_path, path=repository.path, max_files=6)) == 6
    with pytest.raises(SourceError, match=r"more than max_files \(5\)"):
        uris(tmp_path, path=repository.path, max_files=5)


def many(repository: Repository, folders: int, each: int) -> None:
    """A commit of `folders` x `each` files without writing them."""
    blob = repository.git("hash-object", "-w", "--stdin", stdin=b"text")
    tree = repository.git("mktree", stdin="".join(f"100644 blob {blob}\tfile{n}.md\n" for n in range(each)).encode())
    top = repository.git("mktree", stdin="".join(f"040000 tree {tree}\tfolder{n}\n" for n in range(folders)).encode())
    repository.git("update-ref", "refs/heads/main", repository.git("commit-tree", "-m", "many", top))


def test_many_files_are_listed_lazily(tmp_path: Path, repository: Repository) -> None:
    many(repository, 100, 1_000)
    listing = source(tmp_path, path=repository.path).entries()
    assert next(listing).uri == "folder0/file0.md"
    tracemalloc.start()
    try:
        assert sum(1 for _ in listing) == 99_999
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 5_000_000


def test_a_tree_that_repeats_itself_without_end(tmp_path: Path, repository: Repository) -> None:
    """Ten levels of ten times the same folder: a few hundred bytes, and ten thousand million files."""
    blob = repository.git("hash-object", "-w", "--stdin", stdin=b"text")
    tree, kind = blob, "100644 blob"
    for _ in range(10):
        tree = repository.git("mktree", stdin="".join(f"{kind} {tree}\tf{n}.md\n" for n in range(10)).encode())
        kind = "040000 tree"
    repository.git("update-ref", "refs/heads/main", repository.git("commit-tree", "-m", "bomb", tree))
    with pytest.raises(SourceError, match="more than max_files"):
        for _ in source(tmp_path, path=repository.path, max_files=20_000).entries():
            pass


def test_a_remote_is_fetched_once(tmp_path: Path, repository: Repository, server: GitServer) -> None:
    first = repository.commit({"a.md": "one", "b.md": "two"})
    options = {"url": f"{server.url}/rivers", "allow_private": True}
    assert texts(tmp_path, **options) == {"a.md": "one", "b.md": "two"}
    assert server.fetches == 1
    assert texts(tmp_path, **options) == {"a.md": "one", "b.md": "two"}
    assert server.fetches == 1

    repository.commit({"a.md": "three"})
    repository.git("rm", "-q", "b.md")
    repository.git("commit", "-q", "-m", "removed")
    assert texts(tmp_path, **options) == {"a.md": "three"}
    assert server.fetches == 2
    repository.git("reset", "-q", "--hard", first)  # what was pushed by force
    assert texts(tmp_path, **options) == {"a.md": "one", "b.md": "two"}

    asked = len(server.requests)
    assert texts(tmp_path, **options, ref=first) == {"a.md": "one", "b.md": "two"}
    assert texts(tmp_path, **options, ref=first) == {"a.md": "one", "b.md": "two"}
    server.answer = (503, {}, b"")
    assert texts(tmp_path, **options, ref=first) == {"a.md": "one", "b.md": "two"}
    assert len(server.requests) <= asked + 2
    mirrors = [path for path in (tmp_path / "state").iterdir() if path.suffix == ".git"]
    assert len(mirrors) == 1


def test_only_one_commit_is_fetched(tmp_path: Path, repository: Repository, server: GitServer) -> None:
    for number in range(20):
        repository.commit({"a.bin": os.urandom(50_000), "a.md": f"{number}"})
    assert texts(tmp_path, url=f"{server.url}/rivers", allow_private=True, include=["*.md"]) == {"a.md": "19"}
    size = sum(path.stat().st_size for path in (tmp_path / "state").rglob("*") if path.is_file())
    assert size < 300_000


def test_a_shallow_remote(tmp_path: Path, repository: Repository, server: GitServer) -> None:
    repository.commit({"a.md": "one"})
    repository.commit({"a.md": "two"})
    repository.git("clone", "-q", "--depth=1", f"file://{repository.path}", str(repository.path.parent / "shallow"))
    assert texts(tmp_path, url=f"{server.url}/shallow", allow_private=True) == {"a.md": "two"}
    assert texts(tmp_path, path=repository.path.parent / "shallow") == {"a.md": "two"}


def test_a_remote_by_name(tmp_path: Path, repository: Repository, server: GitServer) -> None:
    commit = repository.commit({"a.md": "one"})
    repository.git("tag", "-a", "v1", "-m", "first")
    repository.commit({"a.md": "two"})
    options = {"url": f"{server.url}/rivers", "allow_private": True}
    assert texts(tmp_path, **options, ref="v1") == {"a.md": "one"}
    assert texts(tmp_path, **options, ref="main") == {"a.md": "two"}
    (document,) = source(tmp_path, **options, ref="v1")
    assert (document.metadata["commit"], document.metadata["repository"]) == (commit, options["url"])
    with pytest.raises(SourceError, match="has no branch and no tag 'gone'"):
        uris(tmp_path, **options, ref="gone")
    with pytest.raises(SourceError, match="cannot be fetched"):
        uris(tmp_path, url=f"{server.url}/none", allow_private=True)


def test_what_a_killed_fetch_leaves_is_cleared_away(tmp_path: Path, repository: Repository, server: GitServer) -> None:
    repository.commit({"a.md": "one"})
    options = {"url": f"{server.url}/rivers", "allow_private": True}
    assert texts(tmp_path, **options) == {"a.md": "one"}
    (mirror,) = (tmp_path / "state").glob("*.git")
    (mirror / "shallow.lock").touch()
    (mirror / "objects" / "pack").mkdir(exist_ok=True)
    (mirror / "objects" / "pack" / "tmp_pack_x").write_bytes(b"half")
    repository.commit({"a.md": "two"})
    assert texts(tmp_path, **options) == {"a.md": "two"}
    assert not (mirror / "objects" / "pack" / "tmp_pack_x").exists()
    (mirror / "config").write_text("[core")
    assert texts(tmp_path, **options) == {"a.md": "two"}


def test_a_token(tmp_path: Path, repository: Repository, server: GitServer, caplog: pytest.LogCaptureFixture) -> None:
    repository.commit({"a.md": "private"})
    server.authorization = "Basic " + base64.b64encode(b"x-access-token:s3cr3t-token").decode()
    options = {"url": f"{server.url}/rivers", "allow_private": True}
    with pytest.raises(SourceError, match="it is private, or not there") as raised:
        uris(tmp_path, **options)
    assert "set `token`" in raised.value.cure
    with pytest.raises(SourceError) as raised:
        uris(tmp_path, **options, token="wr0ng-token")
    assert "wr0ng" not in str(raised.value)
    (document,) = source(tmp_path, **options, token="s3cr3t-token")
    assert document.text == "private"
    kept = [path for path in (tmp_path / "state").rglob("*") if path.is_file() and b"s3cr3t" in path.read_bytes()]
    assert kept == []
    assert "s3cr3t" not in f"{document.metadata} {caplog.text}"


def test_a_token_does_not_follow_a_redirect(tmp_path: Path, repository: Repository, server: GitServer) -> None:
    repository.commit({"a.md": "text"})
    with serving(tmp_path / "repositories") as other:
        server.answer = (302, {"Location": f"{other.url}/rivers/info/refs?service=git-upload-pack"}, b"")
        with pytest.raises(SourceError, match="returned error: 302") as raised:
            uris(tmp_path, url=f"{server.url}/rivers", allow_private=True, token="s3cr3t")
        assert other.requests == []
    assert "redirects to" in raised.value.cure


@pytest.mark.parametrize(
    "answer",
    [
        (500, {}, b"broken"),
        (429, {"Retry-After": "100000"}, b""),
        (200, {"Content-Type": "text/html"}, b"<html>"),
        (200, {"Content-Type": "application/x-git-upload-pack-advertisement"}, b"zzzz"),
        (200, {"Content-Type": "application/x-git-upload-pack-advertisement"}, None),
    ],
)
def test_a_server_that_is_broken(tmp_path: Path, server: GitServer, answer: Any) -> None:
    server.answer = answer
    with pytest.raises(SourceError, match=r"cannot be fetched|is no repository"):
        uris(tmp_path, url=f"{server.url}/rivers", allow_private=True)


def test_a_server_that_says_nothing_is_not_waited_for(tmp_path: Path) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listening:
        git = Git((), tmp_path, "http")
        with pytest.raises(Exception, match=r"longer than 1 s"):
            git.run("ls-remote", f"http://127.0.0.1:{listening.getsockname()[1]}/x", timeout=1)


def test_a_repository_that_is_too_large(tmp_path: Path, repository: Repository, server: GitServer) -> None:
    repository.commit({"a.bin": os.urandom(20_000_000)})
    options = {"url": f"{server.url}/rivers", "allow_private": True}
    for _ in range(2):
        with pytest.raises(SourceError, match=r"max_repository_bytes"):
            uris(tmp_path, **options, max_repository_bytes=1_000_000)
        assert sum(path.stat().st_size for path in (tmp_path / "state").rglob("*") if path.is_file()) < 1_000_000


@pytest.mark.parametrize(
    ("host", "told"),
    [
        ("127.0.0.1", "is the address 127.0.0.1, which is not public"),
        ("localhost", "not public"),
        ("[::1]", "not public"),
        ("0", "not public"),
        ("2130706433", "not public"),
        ("0x7f.1", "not public"),
        ("169.254.169.254", "not public"),
        ("10.1.2.3", "not public"),
        ("[::ffff:127.0.0.1]", "not public"),
        ("[64:ff9b::7f00:1]", "not public"),
        ("no-such-host.invalid", "leads nowhere"),
    ],
)
def test_private_addresses_are_refused(tmp_path: Path, host: str, told: str) -> None:
    with pytest.raises(SourceError) as raised:
        uris(tmp_path, url=f"https://{host}/owner/name")
    assert told in str(raised.value)


def test_public_addresses() -> None:
    assert all(map(is_public, ("93.184.216.34", "2606:4700::1111", "64:ff9b::5db8:d822")))
    private = (
        "192.168.0.1",
        "100.64.0.1",
        "224.0.0.1",
        "fe80::1%eth0",
        "fc00::1",
        "2002:7f00:1::",
        "::",
        "ff02::1",
        "198.18.0.1",
    )
    assert not any(map(is_public, private))


def test_the_address_that_was_checked_is_the_one_that_is_asked(
    tmp_path: Path, repository: Repository, server: GitServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that leads elsewhere when git asks again cannot lead it away: this name leads nowhere at all."""
    import socket

    repository.commit({"a.md": "text"})
    real = socket.getaddrinfo
    port = int(server.url.rpartition(":")[2])
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *more, **named: real("127.0.0.1", port, type=socket.SOCK_STREAM))
    assert uris(tmp_path, url=f"http://pinned.invalid:{port}/rivers", allow_private=True) == ["a.md"]


@pytest.mark.parametrize(
    "url",
    [
        "--upload-pack=touch /tmp/x",
        "-u./payload",
        "ext::sh -c touch% /tmp/x",
        "ext::sh",
        "file:///etc",
        "/etc",
        "../other",
        "git://host/name",
        "ftp://host/name",
        "https://user:password@host.example/name",
        "https://token@host.example/name",
        "ssh://user:password@host.example/name",
        "https://host.example\\@127.0.0.1/name",
        "https://host.example/na me",
        "https://host.example/x\n--upload-pack=y",
        "https://host.example",
        "https://host.example:99999/x",
        "http://127%2e0.0.1/x",
        "ssh://-oProxyCommand=touch/x",
        "git@-oProxyCommand=x:y",
        "git@host:-x",
        "host:path",
        "",
    ],
)
def test_addresses_that_are_refused(url: str) -> None:
    with pytest.raises(ValidationError):
        GitOptions(url=url)


@pytest.mark.parametrize("url", ["https://host.example/o/n", "ssh://git@host.example:22/o/n.git", "git@host.example:o/n.git"])
def test_addresses_that_are_taken(url: str) -> None:
    assert GitOptions(url=url).url == url


@pytest.mark.parametrize(
    "wrong",
    [
        {"ref": "--output=x"}, {"ref": "a..b"}, {"ref": "a b"}, {"ref": "main:x"}, {"ref": ""}, {"ref": "a*"},
        {"ref": "@{1}"},
        {"subpath": "../x"}, {"subpath": "a/../../b"}, {"include": []}, {"path": "/x"}, {"url": None}, {"max_files": 0},
        {"url": "http://host.example/x", "token": "secret"}, {"username": "a:b", "token": "x"},
    ],
)  # fmt: skip
def test_options_that_are_wrong(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        GitOptions(**{"url": "https://host.example/o/n", **wrong})


def test_nothing_of_a_repository_runs(tmp_path: Path, repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hooks, filters, helpers and programs that its configuration or attributes name."""
    repository.commit({"a.md": "text", "gone.md": "lost", ".gitattributes": "*.md filter=evil diff=evil\n"})
    lost = repository.git("rev-parse", "HEAD:gone.md")
    proof = tmp_path / "ran"
    script = tmp_path / "evil.sh"
    script.write_text(f"#!/bin/sh\ntouch {proof}\n")
    script.chmod(0o755)
    for hook in ("post-checkout", "reference-transaction", "post-index-change", "pre-auto-gc", "fsmonitor-watchman"):
        path = repository.path / ".git" / "hooks" / hook
        path.parent.mkdir(exist_ok=True)
        path.write_text(script.read_text())
        path.chmod(0o755)
    for name in (
        "core.fsmonitor", "core.sshCommand", "core.pager", "core.askPass", "filter.evil.smudge", "filter.evil.clean",
        "diff.evil.textconv", "credential.helper", "core.alternateRefsCommand", "alias.ls-tree", "alias.cat-file",
        "core.gitProxy", "uploadpack.packObjectsHook", "remote.origin.uploadpack", "gpg.program",
        "diff.external", "core.editor", "trace2.eventTarget",
    ):  # fmt: skip
        repository.git("config", name, f"!{script}" if name.startswith("alias") else str(script))
    repository.git("config", "remote.origin.url", f"ext::{script}")
    repository.git("config", "remote.origin.promisor", "true")
    repository.git("config", "remote.origin.partialCloneFilter", "blob:none")
    repository.git("config", "extensions.partialClone", "origin")
    repository.git("config", "core.repositoryFormatVersion", "1")
    config = tmp_path / "user" / ".gitconfig"
    config.parent.mkdir()
    config.write_text(
        f"[core]\n\thooksPath = {repository.path}/.git/hooks\n\tfsmonitor = {script}\n[alias]\n\tls-tree = !{script}\n"
    )
    monkeypatch.setenv("HOME", str(config.parent))
    monkeypatch.setenv("GIT_EXTERNAL_DIFF", str(script))
    monkeypatch.setenv("GIT_SSH_COMMAND", str(script))
    monkeypatch.setenv("GIT_PAGER", str(script))
    monkeypatch.setenv("GIT_DIR", "/nonexistent")
    monkeypatch.setenv("GIT_TRACE2_EVENT", str(tmp_path / "trace"))
    entries = list(source(tmp_path, path=repository.path).entries())
    (repository.path / ".git" / "objects" / lost[:2] / lost[2:]).unlink()  # git would fetch it, through ext::
    assert [entry.uri for entry in entries] == ["a.md", "gone.md"]
    assert entries[0].read() == b"text"
    with pytest.raises(DocumentError, match="lacks its content"):
        entries[1].read()
    assert [entry.uri for entry in source(tmp_path, path=repository.path).entries()] == ["a.md", "gone.md"]
    assert not proof.exists()
    assert not (tmp_path / "trace").exists()


def test_a_repository_of_another_user(open_folder: Path, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("root may do everything, and only root can give a repository away")
    repository = Repository(open_folder / "theirs")
    repository.commit({"a.md": "text"})
    for path in (repository.path, *repository.path.rglob("*")):
        os.chown(path, 65534, 65534)
    assert uris(tmp_path, path=repository.path) == ["a.md"]


def test_nothing_is_left_running(tmp_path: Path, repository: Repository) -> None:
    repository.commit({f"{number}.md": f"text {number}" for number in range(5)})
    found = source(tmp_path, path=repository.path)
    listing = found.entries()
    entry = next(listing)
    assert entry.read() == b"text 0"
    listing.close()  # type: ignore[attr-defined]
    del entry, listing, found
    told = subprocess.run(["ps", "-o", "args=", "--ppid", str(os.getpid())], capture_output=True, text=True, check=False).stdout
    assert "cat-file" not in told
    assert "ls-tree" not in told


@pytest.fixture
def project(tmp_path: Path, server: GitServer) -> Project:
    project = Project(tmp_path / "project")
    project.config.write_text(
        f"sources: [{{use: git, name: rivers, url: '{server.url}/rivers', allow_private: true, max_bytes: 1000}}]\n"
        "embedding: fake\nvector_store: memory\nkeyword_store: memory\n"
    )
    return project


def test_an_ingest_reads_what_changed(
    repository: Repository, project: Project, server: GitServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    real = GitSource._read
    monkeypatch.setattr(GitSource, "_read", lambda self, blobs, file, path: (read.append(path), real(self, blobs, file, path))[1])
    first = repository.commit({f"{number}.md": f"# River {number}\n\nThe river {number} is long.\n" for number in range(5)})
    assert project.ingest().documents["added"] == 5
    assert sorted(read) == [f"{number}.md" for number in range(5)]
    read.clear()
    assert project.ingest().documents["unchanged"] == 5
    assert read == []
    assert server.fetches == 1

    repository.git("mv", "1.md", "renamed.md")
    repository.write("2.md", "# Lake\n\nA lake is still.\n")
    second = repository.commit({"pic.md": b"\x00\x00", "big.md": "x" * 2_000})
    report = project.ingest()
    assert sorted(read) == ["2.md", "big.md", "pic.md", "renamed.md"]
    assert report.documents == {"added": 1, "updated": 1, "unchanged": 3, "removed": 1, "failed": 1}
    assert [failed.uri for failed in report.failures] == ["big.md"]
    assert report.exit_status == 3
    with project.open() as pipeline:
        lake = pipeline.search("a lake", filters="category == repository").hits[0]
        old = pipeline.search("the river 3").hits[0]
    assert (lake.uri, lake.metadata["commit"], lake.metadata["path"]) == ("2.md", second, "2.md")
    assert (old.uri, old.metadata["commit"]) == ("3.md", first)


def test_a_fetch_that_fails_removes_nothing(repository: Repository, project: Project, server: GitServer) -> None:
    repository.commit({f"{number}.md": f"The river {number}." for number in range(5)})
    assert project.ingest().exit_status == 0
    server.answer = (500, {}, b"")
    report = project.ingest()
    assert (report.documents["removed"], report.exit_status) == (0, 3)
    assert "cannot be fetched" in report.notes[0]
    server.answer = None
    repository.git("update-ref", "-d", "refs/heads/main")
    report = project.ingest()
    assert report.documents["removed"] == 0
    assert len(project.ids()[0]) == 5


def test_without_git(tmp_path: Path, repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    repository.commit({"a.md": "text"})
    found = source(tmp_path, path=repository.path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SourceError, match="the command git is not installed"):
        list(found.entries())
