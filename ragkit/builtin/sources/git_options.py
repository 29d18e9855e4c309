"""The options of the source `git`, and the links that it takes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Self

from pydantic import SecretStr, field_validator, model_validator

from ragkit import BuildContext, Component, ConfigPath, SourceOptions, runtime, secret
from ragkit.components import LinkPattern
from ragkit.conversion.formats import EXCLUDE, INCLUDE

if TYPE_CHECKING:
    from ragkit.builtin.sources.git import GitSource

_HTTP = re.compile(r"https?://(?P<host>[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>\d{1,5}))?/[!-\[\]-~]+", re.IGNORECASE)
_SSH = re.compile(r"ssh://(?:[\w.-]+@)?(?P<host>[A-Za-z0-9][A-Za-z0-9.-]*)(?::(?P<port>\d{1,5}))?/[!-\[\]-~]+", re.IGNORECASE)
_SCP = re.compile(r"(?:[A-Za-z0-9_][\w.-]*@)(?P<host>[A-Za-z0-9][A-Za-z0-9.-]*):(?!/?-)[!-9;-\[\]-~][!-\[\]-~]*")
_REF = re.compile(r"(?!-)(?!/)(?!.*(?:\.\.|@\{|//|\.lock\Z|/\Z|\.\Z))[^\x00- ~^:?*\[\\\x7f]+")


def address_of(url: str) -> tuple[str, str, int] | None:
    """The kind of a repository's address (`https`, `http` or `ssh`), its host and port; None for what is no such address."""
    for pattern in (_HTTP, _SSH, _SCP):
        if match := pattern.fullmatch(url):
            kind = url.partition(":")[0].lower() if pattern is _HTTP else "ssh"
            port = match.groupdict().get("port") or {"https": 443, "http": 80, "ssh": 22}[kind]
            return kind, match["host"].strip("[]"), int(port)
    return None


class GitOptions(SourceOptions):
    """`git`: the files of a repository at one commit; only those that changed are read again.

    Submodules, symbolic links and binary files are left out. Patterns are those of `.gitignore`.
    """

    url: str | None = runtime(default=None, description="a repository's address: `https://…`, `ssh://…` or `git@host:path`")
    path: ConfigPath | None = runtime(default=None, description="a repository on this machine, in place of `url`")
    ref: str | None = runtime(
        default=None, max_length=250, description="a branch, a tag or a whole commit id; by default the repository's main branch"
    )
    subpath: str = runtime(default="", description="take only this folder of the repository, or this one file")
    include: tuple[str, ...] = runtime(default=INCLUDE, min_length=1, description="patterns of the files to take")
    exclude: tuple[str, ...] = runtime(default=EXCLUDE, description="patterns of files and folders to leave out")
    hidden: bool = runtime(default=False, description="take files and folders whose name begins with a dot, too")
    token: SecretStr | None = secret(default=None, description="what lets in to a private repository over https")
    username: str = runtime(
        default="x-access-token", min_length=1, pattern=r"^[^:\s]+$", description="the user that goes with `token`"
    )
    allow_private: bool = runtime(default=False, description="fetch from private and local addresses, too")
    max_files: int = runtime(default=2_000_000, ge=1, description="a repository with more files cannot be listed")
    max_bytes: int = runtime(default=10_000_000, ge=1, description="a larger file is a failure")
    max_repository_bytes: int = runtime(default=5_000_000_000, ge=1_000_000, description="a fetch that takes more disk is ended")
    fetch_timeout: float = runtime(default=1_800.0, ge=1, le=86_400, description="seconds that a fetch may take")
    max_pages: int = runtime(default=5_000, ge=1, description="a PDF with more pages is a failure")
    timeout: float | None = runtime(
        default=300.0, ge=1, le=86_400, description="seconds for converting a PDF, an Office document or a book; see `files`"
    )

    @field_validator("url")
    @classmethod
    def _address(cls, url: str | None) -> str | None:
        """What git would take for an option, a helper program or a secret never reaches it."""
        if url is None:
            return None
        if re.match(r"https?://[^/]*@", url, re.IGNORECASE) or re.match(r"ssh://[^/@]*:[^/]*@", url, re.IGNORECASE):
            raise ValueError("holds a user or a password; write it without, and set `token`")
        found = address_of(url)
        if found is None:
            raise ValueError("is no address such as https://host/owner/repository; for a folder of this machine use `path`")
        if found[2] > 65_535:
            raise ValueError("has a port beyond 65535")
        return url

    @field_validator("ref")
    @classmethod
    def _reference(cls, ref: str | None) -> str | None:
        if ref is not None and not _REF.fullmatch(ref):
            raise ValueError("is no name of a branch, a tag or a commit")
        return ref

    @field_validator("subpath")
    @classmethod
    def _below(cls, subpath: str) -> str:
        parts = [part for part in subpath.split("/") if part not in ("", ".")]
        if ".." in parts or "\0" in subpath:
            raise ValueError("leads out of the repository")
        return "/".join(parts)

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.url is None) == (self.path is None):
            raise ValueError("needs either `url` or `path`")
        if self.token is not None and not self.allow_private and not (self.url or "").lower().startswith("https://"):
            raise ValueError("a `token` is sent over https:// alone")
        return self


_NO_OWNER = (
    r"(?!(?:about|apps|collections|customer-stories|dashboard|enterprise|events|explore|features|groups|help|issues|login|"
    r"marketplace|new|notifications|org|orgs|pricing|pulls|search|security|settings|site|snippets|sponsors|topics|trending|"
    r"user|users)/)"
)
_REPOSITORY = rf"{_NO_OWNER}[\w.-]+/(?!\.git\b)[\w.-]+?"
_AT = r"(?:/(?P<subpath>[^?#]*?))?/?"
LINKS = (
    LinkPattern(rf"(?P<url>https?://(?:www\.)?(?:github\.com|codeberg\.org|bitbucket\.org)/{_REPOSITORY})(?:\.git)?/?"),
    LinkPattern(rf"(?P<url>https?://(?:www\.)?github\.com/{_REPOSITORY})/(?:tree|blob)/(?P<ref>[^/?#]+){_AT}"),
    LinkPattern(rf"(?P<url>https?://codeberg\.org/{_REPOSITORY})/src/(?:branch|tag|commit)/(?P<ref>[^/?#]+){_AT}"),
    LinkPattern(rf"(?P<url>https?://bitbucket\.org/{_REPOSITORY})/src/(?P<ref>[^/?#]+){_AT}"),
    LinkPattern(rf"(?P<url>https?://gitlab\.com/{_NO_OWNER}(?:\w[\w.-]*/)+(?!\.git\b)[\w][\w.-]*?)(?:\.git)?/?"),
    LinkPattern(rf"(?P<url>https?://gitlab\.com/{_NO_OWNER}(?:\w[\w.-]*/)+[\w][\w.-]*?)/-/(?:tree|blob)/(?P<ref>[^/?#]+){_AT}"),
    LinkPattern(r"(?P<url>https?://[^\s?#]+\.git)/?"),
    LinkPattern(r"(?P<url>ssh://\S+|[\w.-]+@[\w.-]+:\S+)"),
)


def build_git(options: GitOptions, context: BuildContext) -> GitSource:
    """The files of a repository."""
    from ragkit.builtin.sources.git import GitSource

    return GitSource(options, context.folder)


def git_component() -> Component:
    """`git`."""
    return Component(
        "git",
        GitOptions,
        build_git,
        summary="the files of a Git repository, remote or local, at a branch, a tag or a commit",
        capabilities={"lists": True},
        links=LINKS,
    )
