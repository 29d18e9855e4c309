"""The source `feed`: entries as documents, asked for only when they changed, kept when the feed drops them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from projects import Project
from pydantic import ValidationError

import ragkit_web
from ragkit.components import ListsEntries, link_sources
from ragkit.errors import ComponentError, DocumentError, SourceError
from ragkit.testing import build_context
from ragkit_web.feed_options import FeedOptions
from ragkit_web.feeds import FeedSource

HEAD = (
    '<?xml version="1.0"?><rss version="2.0" xmlns:dc="http://purl.org/dc/elements/1.1/" '
    'xmlns:content="http://purl.org/rss/1.0/modules/content/"><channel><title>Rivers</title><language>en</language>'
)
FULL = (
    '<item><title>One</title><link>/p/1</link><guid isPermaLink="false">g1</guid><dc:creator>Ada</dc:creator>'
    "<pubDate>Wed, 01 May 2024 10:00:00 GMT</pubDate><category>water</category><description>short</description><content:encoded>"
    "<![CDATA[<h2>Long</h2><p>A <b>river</b> <a href='/x'>runs</a>.<script>no()</script></p>]]></content:encoded></item>"
)
ATOM = (
    '<feed xmlns="http://www.w3.org/2005/Atom"><title>Lakes</title><entry><id>tag:a,1</id><title>Still</title>'
    "<updated>2024-05-01T10:00:00Z</updated><author><name>Bob</name></author>"
    '<content type="text">Deep &amp; still.</content></entry></feed>'
)


def item(name: str, text: str = "") -> str:
    guid = f"<guid isPermaLink='false'>{name}</guid>"
    return f"<item><title>{name}</title>{guid}<description>{text or f'About {name}.'}</description></item>"


def rss(*items: str) -> bytes:
    return f"{HEAD}{''.join(items)}</channel></rss>".encode()


@dataclass
class Site:
    url: str = ""
    body: bytes = rss(FULL)
    status: int = 200
    etag: str = '"1"'
    location: str = ""
    statuses: list[int] = field(default_factory=list)


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            status, body = site.status, site.body
            if site.location and self.path == "/feed":
                status, body = 301, b""
            elif status == 200 and site.etag and self.headers.get("If-None-Match") == site.etag:
                status, body = 304, b""
            site.statuses.append(status)
            self.send_response(status)
            for name, value in (("ETag", site.etag), ("Location", site.location)):
                if value:
                    self.send_header(name, value)
            self.send_header("Content-Type", "application/rss+xml")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    site.url = f"http://127.0.0.1:{server.server_port}/feed"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def source(folder: Path, site: Site, **options: Any) -> FeedSource:
    (component,) = [offered for offered in ragkit_web.ragkit_sources() if offered.name == "feed"]
    built = component.build(
        FeedOptions(**{"url": site.url, "allow_private": True, "retries": 0, **options}), build_context(folder)
    )
    assert isinstance(built, ListsEntries)
    assert isinstance(built, FeedSource)
    return built


def texts(folder: Path, site: Site, **options: Any) -> dict[str, str]:
    return {str(one.metadata["uri"]).partition("#")[2]: one.text for one in source(folder, site, **options)}


def test_an_entry_is_a_document(tmp_path: Path, site: Site) -> None:
    (entry,) = source(tmp_path, site).entries()
    document = entry.convert(entry.read())
    assert document.text == "## Long\n\nA **river** runs."
    assert document.metadata == {
        "author": "Ada", "date": "2024-05-01T10:00:00+00:00", "link": site.url.replace("/feed", "/p/1"), "sitename": "Rivers",
        "language": "en", "tags": ["water"], "category": "article", "uri": f"{site.url}#g1", "title": "One", "format": "markdown",
    }  # fmt: skip
    assert entry.uri == f"{site.url}#g1"
    assert entry.stamp


def test_atom(tmp_path: Path, site: Site) -> None:
    site.body = ATOM.encode()
    (document,) = source(tmp_path, site)
    assert (document.text, document.metadata["author"], document.metadata["format"]) == ("Deep & still.", "Bob", "text")


def test_what_did_not_change_is_not_sent_again(tmp_path: Path, site: Site) -> None:
    first = [entry.stamp for entry in source(tmp_path, site).entries()]
    assert [entry.stamp for entry in source(tmp_path, site).entries()] == first
    assert site.statuses == [200, 304]
    site.body, site.etag = rss(FULL.replace("runs", "rests"), item("two")), '"2"'
    second = [entry.stamp for entry in source(tmp_path, site).entries()]
    assert len(second) == 2
    assert second[0] != first[0]


def test_entries_that_the_feed_drops(tmp_path: Path, site: Site) -> None:
    site.body = rss(item("a"), item("b"))
    assert list(texts(tmp_path, site)) == ["a", "b"]
    site.body, site.etag = rss(item("c"), item("b", "Changed.")), '"2"'
    assert texts(tmp_path, site) == {"c": "About c.", "b": "Changed.", "a": "About a."}
    assert list(texts(tmp_path, site, keep=False)) == ["c", "b"]
    assert list(texts(tmp_path, site)) == ["c", "b"]


def test_several_feeds_in_one_folder(tmp_path: Path, site: Site) -> None:
    texts(tmp_path, site)
    other = Site(url=f"{site.url}?other")
    site.body = rss(item("x"))
    assert list(texts(tmp_path, other)) == ["x"]
    site.body = rss(item("y"))
    site.etag = '"2"'
    assert list(texts(tmp_path, site, keep=False)) == ["y"]
    assert list(texts(tmp_path, other)) == ["y", "x"]


def test_a_redirect(tmp_path: Path, site: Site) -> None:
    site.location = "/elsewhere"
    assert list(texts(tmp_path, site)) == ["g1"]
    site.location = "/feed"
    with pytest.raises(SourceError, match="redirected more than"):
        texts(tmp_path, site)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"status": 404}, "HTTP 404"),
        ({"status": 500}, "HTTP 500"),
        ({"body": b"<html><body>no feed</body></html>"}, "is no feed"),
        ({"body": b""}, "is no feed"),
        ({"body": b'{"items": []}'}, "is no feed"),
    ],
)
def test_what_is_no_feed_removes_nothing(tmp_path: Path, site: Site, change: dict[str, Any], told: str) -> None:
    texts(tmp_path, site)
    site.etag = '"2"'
    for name, value in change.items():
        setattr(site, name, value)
    with pytest.raises(SourceError, match=told):
        texts(tmp_path, site)
    site.status, site.body, site.etag = 200, rss(FULL), '"1"'
    assert list(texts(tmp_path, site)) == ["g1"]


def test_private_addresses_and_limits(tmp_path: Path, site: Site) -> None:
    with pytest.raises(SourceError, match="no address of the internet"):
        texts(tmp_path, site, allow_private=False)
    with pytest.raises(SourceError, match="max_bytes"):
        texts(tmp_path, site, max_bytes=100)


def test_entities_that_multiply(tmp_path: Path, site: Site) -> None:
    levels = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    site.body = (
        f'<?xml version="1.0"?><!DOCTYPE rss [<!ENTITY l0 "lol">{levels}<!ENTITY f SYSTEM "file:///etc/passwd">]>'
        f"<rss version='2.0'><channel>{item('bomb', '&l9; &f;')}{item('fine')}</channel></rss>"
    ).encode()
    try:
        found = texts(tmp_path, site)
    except SourceError:
        return
    assert max(map(len, found.values())) < 100_000
    assert "root:" not in str(found)


def test_an_entry_without_words(tmp_path: Path, site: Site) -> None:
    site.body = rss("<item><guid>empty</guid></item>", item("fine"))
    entries = list(source(tmp_path, site).entries())
    with pytest.raises(DocumentError, match="neither text nor title"):
        entries[0].convert(entries[0].read())
    assert entries[1].convert(entries[1].read()).text == "About fine."


@pytest.mark.parametrize(
    "url", ["ftp://a.example/feed", "feed", "https://a:b@c.example/feed", "https://a.example:99999/feed", ""]
)
def test_addresses_that_are_refused(url: str) -> None:
    with pytest.raises(ValidationError):
        FeedOptions(url=url)


@pytest.mark.parametrize(
    ("link", "use"),
    [
        ("https://a.example/feed", "feed"),
        ("https://a.example/feed/", "feed"),
        ("https://a.example/blog/rss?x=1", "feed"),
        ("https://a.example/index.atom", "feed"),
        ("https://a.example/news.xml", "feed"),
        ("https://github.com/owner/name/releases.atom", "feed"),
        ("https://a.example/sitemap.xml", "web"),
        ("https://a.example/my-sitemap-1.xml", "web"),
        ("https://a.example/feeding", "web"),
        ("https://a.example/a.html?x=/feed", "web"),
        ("https://github.com/owner/feed", "git"),
    ],
)
def test_links_to_feeds(link: str, use: str) -> None:
    from ragkit.builtin.sources import ragkit_sources

    components = [*ragkit_web.ragkit_sources(), *ragkit_sources()]
    (found,) = link_sources(components, [link], {}, lambda spec: spec, lambda link: ComponentError("nobody"))
    assert found.use == use


def test_feeds_and_pages_in_a_list_of_links(tmp_path: Path, site: Site) -> None:
    project = Project(tmp_path / "project")
    page = site.url.replace("/feed", "/page")
    project.config.write_text(
        f"sources: [{{use: urls, name: list, links: ['{site.url}', '{page}'], allow_private: true}}]\n"
        "embedding: fake\nvector_store: memory\nkeyword_store: memory\n"
    )
    report = project.ingest()
    assert report.documents["added"] == 1
    assert [failed.uri for failed in report.failures] == [page]  # what comes there is no page
    assert "application/rss+xml" in report.failures[0].error
    assert project.ingest().documents["unchanged"] == 1
    with project.open() as pipeline:
        hit = pipeline.search("a river").hits[0]
    assert (hit.uri, hit.metadata["category"], hit.metadata["author"]) == (f"{site.url}#g1", "article", "Ada")
