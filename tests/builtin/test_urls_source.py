"""The source `urls`: which source takes which link, and that a link that fails harms no other."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from git_server import GitServer, Repository, serving
from llama_index.core.schema import Document
from projects import Project
from pydantic import ValidationError, field_validator

from ragkit import BuildContext, Component, SourceOptions, hookimpl, runtime
from ragkit.builtin.sources import ragkit_sources
from ragkit.builtin.sources.urls import UrlsSource
from ragkit.builtin.sources.urls_options import UrlsOptions
from ragkit.components import Entry, LinkPattern, link_sources
from ragkit.errors import ComponentError, DocumentError, PluginError, SourceError
from ragkit.host import Host
from ragkit.testing import build_context


class PagesOptions(SourceOptions):
    urls: tuple[str, ...] = runtime()
    allow_private: bool = runtime(default=False)

    @field_validator("urls")
    @classmethod
    def _checked(cls, urls: tuple[str, ...]) -> tuple[str, ...]:
        if any("refused" in url for url in urls):
            raise ValueError("an address is refused")
        return urls


class Pages:
    """What a test has instead of the web: pages that say their address."""

    def __init__(self, options: PagesOptions, folder: Path) -> None:
        self.options = options
        self.folder = folder

    def entries(self) -> Iterator[Entry]:
        for url in self.options.urls:
            if "unlisted" in url:
                raise ConnectionError("hung up")
            yield Entry(url, lambda url=url: self.read(url), lambda raw: Document(text=raw.decode()), stamp="1")

    def read(self, url: str) -> bytes:
        if "missing" in url:
            raise DocumentError(f"{url}: 404", uri=url)
        return f"The page {url} speaks of {url}.".encode()


PAGES = Component(
    "web", PagesOptions, lambda options, context: Pages(options, context.folder),
    links=(LinkPattern(r"(?P<urls>https?://\S+)", fallback=True),),
)  # fmt: skip


class TalkOptions(SourceOptions):
    channel: str = runtime()
    mood: str = runtime(default="calm")


class Talk:
    """A source that only iterates."""

    def __init__(self, options: TalkOptions, context: BuildContext) -> None:
        self.options = options

    def __iter__(self) -> Iterator[Document]:
        if self.options.channel == "dead":
            raise SourceError("the channel is dead", cure="choose another")
        for number in range(2):
            text = f"Talk {number} in {self.options.channel}, {self.options.mood}."
            yield Document(text=text, metadata={"uri": f"message/{number}"})


TALK = Component("talk", TalkOptions, Talk, links=(LinkPattern(r"https://talk\.example/(?P<channel>\w+)/?", {"mood": "merry"}),))

plugin = SimpleNamespace(ragkit_sources=hookimpl(lambda: [PAGES, TALK]), __name__="pages")


def source(folder: Path, *links: str, sources: Any = (PAGES, TALK), **options: Any) -> UrlsSource:
    everything = [*sources, *ragkit_sources()]
    (component,) = [offered for offered in everything if offered.name == "urls"]
    built = component.build(UrlsOptions(links=links, **options), build_context(folder / "state", sources=everything))
    assert isinstance(built, UrlsSource)
    return built


def listed(found: UrlsSource) -> tuple[list[Entry], str]:
    entries = []
    try:
        for entry in found.entries():
            entries.append(entry)
    except SourceError as error:
        return entries, str(error)
    return entries, ""


def failure(entry: Entry) -> str:
    with pytest.raises(DocumentError) as raised:
        entry.read()
    return str(raised.value)


def taken(link: str) -> tuple[str, dict[str, Any]]:
    """Which of the sources takes a link, with which options."""
    (found,) = link_sources([*ragkit_sources(), PAGES], [link], {}, lambda spec: spec, lambda link: ComponentError("nobody"))
    return found.use, found.source.options.model_dump(exclude_unset=True) if found.source else {"error": found.error}


HUB = "https://github.com/owner/na.me"


@pytest.mark.parametrize(
    ("link", "options"),
    [
        (HUB, {"url": HUB}),
        (f"{HUB}/", {"url": HUB}),
        (f"{HUB}.git", {"url": HUB}),
        ("https://www.github.com/owner/name", {"url": "https://www.github.com/owner/name"}),
        ("HTTPS://GitHub.com/owner/name", {"url": "HTTPS://GitHub.com/owner/name"}),
        (f"{HUB}/tree/v1.2", {"url": HUB, "ref": "v1.2"}),
        (f"{HUB}/tree/main/docs/guide/", {"url": HUB, "ref": "main", "subpath": "docs/guide"}),
        (f"{HUB}/blob/main/docs/a.md", {"url": HUB, "ref": "main", "subpath": "docs/a.md"}),
        ("https://codeberg.org/o/n", {"url": "https://codeberg.org/o/n"}),
        ("https://codeberg.org/o/n/src/branch/main/d", {"url": "https://codeberg.org/o/n", "ref": "main", "subpath": "d"}),
        ("https://bitbucket.org/o/n/src/main/d/", {"url": "https://bitbucket.org/o/n", "ref": "main", "subpath": "d"}),
        ("https://gitlab.com/group/sub/name", {"url": "https://gitlab.com/group/sub/name"}),
        ("https://gitlab.com/g/n/-/tree/main/d", {"url": "https://gitlab.com/g/n", "ref": "main", "subpath": "d"}),
        ("https://git.example.org/o/n.git", {"url": "https://git.example.org/o/n.git"}),
        ("ssh://git@host.example/o/n", {"url": "ssh://git@host.example/o/n"}),
        ("git@host.example:o/n.git", {"url": "git@host.example:o/n.git"}),
    ],
)
def test_links_to_repositories(link: str, options: dict[str, Any]) -> None:
    assert taken(link) == ("git", options)


@pytest.mark.parametrize(
    "link",
    [
        "https://github.com/owner",
        f"{HUB}/issues/12",
        f"{HUB}/wiki/Home",
        f"{HUB}/releases",
        "https://github.com/features/actions",
        "https://github.com/orgs/owner",
        "https://github.com/topics/rag",
        "https://gitlab.com/explore/projects",
        "https://gitlab.com/g/n/-/issues/1",
        "https://github.community/owner/name",
        "https://evil.example/github.com/owner/name",
        "https://blog.example/post",
    ],
)
def test_links_to_pages(link: str) -> None:
    assert taken(link) == ("web", {"urls": (link,)})


def test_links_are_taken_apart(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    links = ("https://a.example/1", "https://talk.example/blue", "https://A.example/1#part", " https://b.example/2 ")
    entries, end = listed(source(tmp_path, *links))
    assert end == ""
    assert [(entry.uri, entry.convert(entry.read()).text[:12]) for entry in entries] == [
        ("https://a.example/1", "The page htt"),
        ("https://b.example/2", "The page htt"),
        ("https://talk.example/blue#message/0", "Talk 0 in bl"),
        ("https://talk.example/blue#message/1", "Talk 1 in bl"),
    ]
    assert entries[0].stamp == "1"
    talk = entries[2].convert(entries[2].read())
    assert talk.text == "Talk 0 in blue, merry."
    assert talk.metadata == {"link": links[1], "uri": "https://talk.example/blue#message/0"}
    assert "2 links are taken as web pages" in caplog.text
    assert "https://a.example/1, https://b.example/2" in caplog.text


def test_pages_share_one_source_and_folders_are_apart(tmp_path: Path) -> None:
    context = build_context(tmp_path / "state", sources=[TALK, PAGES])
    links = ["https://a.example", "https://talk.example/x", "https://b.example", "https://talk.example/x/"]
    pages, talk = context.link_sources(links, {"allow_private": True})
    assert (pages.links, pages.use, pages.fallback) == (("https://a.example", "https://b.example"), "web", True)
    assert pages.source.options == PagesOptions(urls=("https://a.example", "https://b.example"), allow_private=True)
    assert pages.source.folder == tmp_path / "state" / "web"
    assert (talk.links, talk.use, talk.fallback) == (("https://talk.example/x", "https://talk.example/x/"), "talk", False)


def test_a_file_of_links(tmp_path: Path) -> None:
    path = tmp_path / "links.txt"
    path.write_bytes(
        b"\xef\xbb\xbf# mine\r\n\r\nhttps://a.example/1  # good\r\n  https://a.example/2#top\nhttps://a.example/\xff\n"
    )
    entries, _ = listed(source(tmp_path, "https://a.example/0", file=path))
    assert [entry.uri for entry in entries][:3] == ["https://a.example/0", "https://a.example/1", "https://a.example/2"]
    path.unlink()
    with pytest.raises(SourceError, match=r"links\.txt cannot be read"):
        list(source(tmp_path, file=path).entries())


@pytest.mark.parametrize("link", ["", "  ", "# only a comment"])
def test_nothing_is_no_link(tmp_path: Path, link: str) -> None:
    path = tmp_path / "links.txt"
    path.write_text(f"{link}\n")
    assert listed(source(tmp_path, file=path)) == ([], "")


@pytest.mark.parametrize(
    ("link", "told"),
    [
        ("not a link", "is no link"),
        ("/etc/passwd", "is no link"),
        ("file:///etc/passwd", "is no link"),
        ("javascript:alert(1)", "is no link"),
        ("--upload-pack=x", "is no link"),
        ("ext::sh -c x", "is no link"),
        ("https://a.example:99999/", "is no link"),
        ("https://[::1/", "is no link"),
        ("https://", "is no link"),
        ("https://ada:s3cr3t@a.example/x.git", "must not hold a password"),
        ("https://s3cr3t@github.com/o/n", "must not hold a password"),
        ("ssh://-oProxyCommand=x/y", "cannot take it"),
        ("https://refused.example/", "an address is refused"),
        ("https://unlisted.example/", "ConnectionError: hung up"),
        ("https://talk.example/dead", "the channel is dead"),
    ],
)
def test_a_link_that_fails_harms_no_other(tmp_path: Path, link: str, told: str) -> None:
    entries, end = listed(source(tmp_path, "https://a.example/1", link, "https://talk.example/blue"))
    good = [entry.uri for entry in entries if entry.stamp or "#message" in entry.uri]
    assert good == ["https://a.example/1", "https://talk.example/blue#message/0", "https://talk.example/blue#message/1"]
    (failed,) = [entry for entry in entries if entry.uri not in good]
    assert told in failure(failed)
    assert "links cannot be listed" in end
    assert "s3cr3t" not in f"{failed.uri} {failure(failed)} {end}"


def test_a_page_behind_several_links_is_taken_once(tmp_path: Path) -> None:
    class Same(SourceOptions):
        number: int = runtime()

    class One:
        def __init__(self, options: Same, context: BuildContext) -> None:
            self.number = options.number

        def entries(self) -> Iterator[Entry]:
            for uri in ("https://same.example/x", f"https://same.example/{self.number}"):
                yield Entry(uri, bytes, lambda raw: Document(text="x"))

    same = Component("same", Same, One, links=(LinkPattern(r"https://same\.example/n(?P<number>\d)"),))
    entries, _ = listed(source(tmp_path, "https://same.example/n1", "https://same.example/n2", sources=(same,)))
    assert [entry.uri for entry in entries] == [f"https://same.example/{name}" for name in ("x", 1, 2)]


def test_what_nobody_takes(tmp_path: Path) -> None:
    entries, end = listed(source(tmp_path, "https://a.example/1", sources=()))
    assert [entry.uri for entry in entries] == ["https://a.example/1"]
    assert "1 links cannot be listed" in end
    assert failure(entries[0])


def test_options_that_are_wrong() -> None:
    for wrong in ({}, {"links": []}, {"links": "https://a.example", "x": 1}):
        with pytest.raises(ValidationError):
            UrlsOptions(**wrong)


@pytest.mark.parametrize(
    ("pattern", "told"), [(LinkPattern("("), "cannot be read"), (LinkPattern("(?P<chanel>x)"), "gives an option 'chanel'")]
)
def test_a_pattern_that_is_wrong(pattern: LinkPattern, told: str) -> None:
    broken = Component("broken", TalkOptions, Talk, links=(pattern,))
    with pytest.raises(PluginError, match=told):
        Host(plugins=[SimpleNamespace(ragkit_sources=hookimpl(lambda: [broken]))], entry_points=False)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[GitServer]:
    with serving(tmp_path / "repositories") as server:
        yield server


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path / "project")
    project.config.write_text(
        "sources: [{use: urls, name: list, file: links.txt, allow_private: true}]\n"
        "embedding: fake\nvector_store: memory\nkeyword_store: memory\n"
    )
    return project


def ingest(project: Project, *links: str, plugins: Any = (plugin,)) -> Any:
    (project.folder / "links.txt").write_text("\n".join(links))
    from ragkit.pipeline import Pipeline
    from ragkit.testing import plugin as fakes

    host = Host(plugins=[fakes, *plugins], entry_points=False)
    with Pipeline.from_yaml(project.config, host=host) as pipeline:
        report = pipeline.ingest()
        if report.chunks["total"]:
            assert {hit.metadata["category"] for hit in pipeline.search("river").hits if ".git#" in hit.uri} <= {"repository"}
        return report


def test_an_ingest_of_links(tmp_path: Path, server: GitServer, project: Project) -> None:
    rivers, lakes = (Repository(tmp_path / "repositories" / f"{name}.git") for name in ("rivers", "lakes"))
    rivers.commit({"README.md": "The river is long.", "a.md": "It has bridges."})
    lakes.commit({"README.md": "The lake is deep."})
    links = [f"{server.url}/rivers.git", f"{server.url}/lakes.git", "https://talk.example/blue", "https://a.example/missing"]
    report = ingest(project, *links, "https://a.example/1")
    assert report.documents == {"added": 6, "updated": 0, "unchanged": 0, "removed": 0, "failed": 1}
    assert [failed.uri for failed in report.failures] == ["https://a.example/missing"]
    assert server.fetches == 2

    report = ingest(project, *links[:3], "https://a.example/1")
    assert (report.documents["unchanged"], report.exit_status, server.fetches) == (6, 0, 2)

    lakes.commit({"README.md": "The lake is shallow."})
    report = ingest(project, *links[:3])
    assert (report.documents["updated"], report.documents["unchanged"], report.documents["removed"]) == (1, 4, 1)
    assert server.fetches == 3

    server.answer = (500, {}, b"")
    report = ingest(project, links[2], *links[:2])
    assert [failed.uri for failed in report.failures] == links[:2]
    assert (report.documents["unchanged"], report.documents["removed"], report.exit_status) == (2, 0, 3)
    assert any("2 links cannot be listed" in note for note in report.notes)


def test_what_to_install_for_pages(project: Project, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    report = ingest(project, "https://a.example/1", "https://talk.example/blue", plugins=(_only(TALK),))
    (failed,) = report.failures
    assert failed.uri == "https://a.example/1"
    assert "the source 'web' is not installed" in failed.error
    assert "pip install ragkit-web" in failed.error
    assert report.documents["added"] == 2
    assert "taken as web pages" not in caplog.text


def test_a_plugin_goes_before_what_is_built_in(project: Project) -> None:
    own = Component("own", TalkOptions, Talk, links=(LinkPattern(r"https://github\.com/(?P<channel>\w+)/.*"),))
    report = ingest(project, "https://github.com/owner/name", plugins=(_only(own),))
    assert report.documents["added"] == 2


def _only(component: Component) -> SimpleNamespace:
    return SimpleNamespace(ragkit_sources=hookimpl(lambda: [component]), __name__=component.name)


def test_sources_have_folders_of_their_own(project: Project) -> None:
    folders = []

    def build(options: PagesOptions, context: BuildContext) -> Pages:
        folders.append(context.folder)
        return Pages(options, context.folder)

    pages = Component("pages", PagesOptions, build)
    project.config.write_text(
        "sources: [{use: pages, name: A b, urls: ['https://a.example']}, {use: pages, name: a B, urls: ['https://b.example']}]\n"
        "embedding: fake\nvector_store: memory\nkeyword_store: memory\n"
    )
    assert ingest(project, plugins=(_only(pages),)).documents["added"] == 2
    assert len(set(folders)) == 2
    assert all(folder.is_dir() for folder in folders)
