"""The source `web` on sites of this machine: what is taken, and what is asked for."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError
from webbing import Waits, only, take, web
from website import HTML, Reply, Site, article, redirect, site

from ragkit_web import WebOptions
from ragkit_web.addresses import normal

SITEMAP = '<?xml version="1.0"?><urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{}</urlset>'
INDEX = '<?xml version="1.0"?><sitemapindex xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{}</sitemapindex>'


@pytest.fixture
def www() -> Iterator[Site]:
    with site() as running:
        yield running


@pytest.fixture
def other() -> Iterator[Site]:
    with site() as running:
        yield running


def listed(form: str, element: str, *urls: str) -> bytes:
    return form.format("".join(f"<{element}><loc>{url}</loc></{element}>" for url in urls)).encode()


def chain(www: Site, length: int) -> None:
    """Pages that each link to the next."""
    for number in range(length):
        www.page(f"/{number}", f"Page {number}", links=[f"/{number + 1}"])


class TestCrawl:
    def test_depth_0_takes_what_is_named(self, www: Site, tmp_path: Path) -> None:
        chain(www, 3)
        assert take(web(tmp_path, www.url("/0"))).uris == {www.url("/0")}
        assert www.paths() == ["/0"]

    @pytest.mark.parametrize("depth", [1, 2])
    def test_it_goes_so_many_links(self, www: Site, tmp_path: Path, depth: int) -> None:
        chain(www, 5)
        assert take(web(tmp_path, www.url("/0"), depth=depth)).uris == {www.url(f"/{n}") for n in range(depth + 1)}

    def test_circles_end(self, www: Site, tmp_path: Path) -> None:
        www.page("/a", "A", links=["/b", "/a#part", "/b?"])
        www.page("/b", "B", links=["/a", "./b"])
        assert take(web(tmp_path, www.url("/a"), depth=50)).uris == {www.url("/a"), www.url("/b")}
        assert sorted(www.paths()) == ["/a", "/b"]

    def test_max_pages(self, www: Site, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        www.page("/", "Home", links=[f"/{number}" for number in range(50)])
        for number in range(50):
            www.page(f"/{number}", f"Page {number}")
        taken = take(web(tmp_path, www.url("/"), depth=1, max_pages=5))
        assert len(taken.documents) == 5
        assert len(www.paths()) == 5
        assert "max_pages (5) is reached" in caplog.text
        assert not taken.incomplete

    def test_an_endless_site_ends_at_max_pages(self, www: Site, tmp_path: Path) -> None:
        class Endless(dict[str, Reply]):
            def get(self, path: str, default: object = None) -> Reply:
                return Reply(article(path, links=[f"{path}x/", f"{path}y/"]), headers={"Content-Type": HTML})

        www.pages = Endless()  # type: ignore[assignment]
        assert len(take(web(tmp_path, www.url("/"), depth=100, max_pages=30, robots=False)).documents) == 30

    def test_it_stays_on_its_hosts(self, www: Site, other: Site, tmp_path: Path) -> None:
        www.page("/", "Home", links=["/a", other.url("/b")])
        www.page("/a", "A")
        other.page("/b", "B")
        assert take(web(tmp_path / "one", www.url("/"), depth=1)).uris == {www.url("/"), www.url("/a")}
        assert other.seen == []
        everywhere = take(web(tmp_path, www.url("/"), depth=1, same_host=False))
        assert everywhere.uris == {www.url("/"), www.url("/a"), other.url("/b")}

    def test_patterns(self, www: Site, tmp_path: Path) -> None:
        www.page("/", "Home", links=["/posts/a", "/posts/draft-b", "/about"])
        for path in ("/posts/a", "/posts/draft-b", "/about"):
            www.page(path, path)
        options = {"depth": 1, "include": ["/posts/*"], "exclude": ["*draft*"]}
        assert take(web(tmp_path, www.url("/"), **options)).uris == {www.url("/posts/a")}
        assert www.paths() == ["/", "/posts/a"]

    def test_links_to_pictures_and_scripts_are_not_followed(self, www: Site, tmp_path: Path) -> None:
        odd = [
            "/a.png",
            "/b.css",
            "/c.tar.gz",
            "mailto:a@b.c",
            "javascript:alert(1)",
            "http://[bad/",
            "ftp://h/x",
            "data:text/html,x",
        ]
        www.page("/", "Home", links=[*odd, "/wiki/Node.js", "/v1.2"])
        www.page("/wiki/Node.js", "Node")
        www.page("/v1.2", "Version")
        assert take(web(tmp_path, www.url("/"), depth=1)).uris == {www.url(path) for path in ("/", "/wiki/Node.js", "/v1.2")}
        assert sorted(www.paths()) == ["/", "/v1.2", "/wiki/Node.js"]

    def test_a_base_element_counts(self, www: Site, tmp_path: Path) -> None:
        www.pages["/"] = Reply(
            article("Home", links=["x"]).replace(b"<head>", b'<head><base href="/deep/">'), headers={"Content-Type": HTML}
        )
        www.page("/deep/x", "X")
        assert www.url("/deep/x") in take(web(tmp_path, www.url("/"), depth=1)).documents

    def test_a_link_that_leads_nowhere_is_no_failure_of_a_document(self, www: Site, tmp_path: Path) -> None:
        www.page("/", "Home", links=["/gone"])
        taken = take(web(tmp_path, www.url("/"), depth=1))
        assert type(taken.errors[www.url("/gone")]).__name__ == "DocumentGone"
        assert not taken.incomplete


class TestRobots:
    def test_they_are_obeyed(self, www: Site, tmp_path: Path) -> None:
        rules = b"User-agent: ragkit\nDisallow: /private/\nDisallow: /*?print=\n\nUser-agent: *\nDisallow: /\n"
        www.pages["/robots.txt"] = Reply(rules)
        www.page("/", "Home", links=["/private/a", "/open?print=1", "/open"])
        www.page("/open", "Open")
        assert take(web(tmp_path, www.url("/"), depth=1)).uris == {www.url("/"), www.url("/open")}
        assert www.paths() == ["/", "/open"]

    def test_another_name_has_other_rules(self, www: Site, tmp_path: Path) -> None:
        www.pages["/robots.txt"] = Reply(b"User-agent: curious\nDisallow:\n\nUser-agent: *\nDisallow: /\n")
        www.page("/", "Home")
        refused = take(web(tmp_path, www.url("/")))
        assert "robots.txt forbids it" in str(refused.errors[www.url("/")])
        assert www.paths() == []
        assert take(web(tmp_path, www.url("/"), user_agent="curious/2.0 (+https://example.org)")).documents
        assert www.seen[-1].headers["User-Agent"] == "curious/2.0 (+https://example.org)"
        assert take(web(tmp_path, www.url("/"), robots=False)).documents

    def test_a_host_whose_rules_cannot_be_had_is_not_asked(self, www: Site, tmp_path: Path) -> None:
        www.pages["/robots.txt"] = Reply(status=503)
        www.page("/", "Home", links=["/a"])
        taken = take(web(tmp_path, www.url("/"), depth=1, retries=1))
        assert "HTTP 503" in taken.incomplete
        assert www.paths() == []

    def test_crawl_delay(self, www: Site, tmp_path: Path) -> None:
        www.pages["/robots.txt"] = Reply(b"User-agent: *\nCrawl-delay: 7\n")
        chain(www, 3)
        waits = Waits()
        take(web(tmp_path, www.url("/0"), depth=2, waits=waits))
        assert len(waits.slept) == 2, "before the second and the third page; the rules came after the first request"
        assert all(6 < one <= 7 for one in waits.slept)

    def test_the_delay_is_per_host(self, www: Site, other: Site, tmp_path: Path) -> None:
        for running in (www, other):
            running.page("/a", "A")
        waits = Waits()
        take(web(tmp_path, www.url("/a"), other.url("/a"), delay=5, robots=False, waits=waits))
        assert waits.slept == []
        take(web(tmp_path, www.url("/a"), www.url("/b"), delay=5, waits=waits))
        assert len(waits.slept) == 1, "and none for robots.txt"
        assert 4 < waits.slept[0] <= 5


class TestSitemap:
    def test_pages_of_a_sitemap(self, www: Site, other: Site, tmp_path: Path) -> None:
        www.pages["/pages.xml"] = Reply(listed(SITEMAP, "url", www.url("/a"), www.url("/b"), other.url("/c")))
        www.page("/a", "A", links=["/not-listed"])
        www.page("/b", "B")
        assert take(web(tmp_path, sitemap=www.url("/pages.xml"))).uris == {www.url("/a"), www.url("/b")}

    def test_an_index_some_packed_and_one_in_a_circle(self, www: Site, tmp_path: Path) -> None:
        parts = [www.url("/one.xml"), www.url("/two.xml.gz"), www.url("/three.txt"), www.url("/index.xml")]
        www.pages["/index.xml"] = Reply(listed(INDEX, "sitemap", *parts))
        www.pages["/one.xml"] = Reply(listed(SITEMAP, "url", www.url("/1")))
        www.pages["/two.xml.gz"] = Reply(
            gzip.compress(listed(SITEMAP, "url", www.url("/2"))), headers={"Content-Type": "application/gzip"}
        )
        www.pages["/three.txt"] = Reply(f"{www.url('/3')}\n".encode())
        for number in (1, 2, 3):
            www.page(f"/{number}", f"Page {number}")
        taken = take(web(tmp_path, sitemap=www.url("/index.xml")))
        assert taken.uris == {www.url(f"/{number}") for number in (1, 2, 3)}
        assert not taken.incomplete
        assert www.paths().count("/index.xml") == 1

    @pytest.mark.parametrize(("rules", "place"), [("Sitemap: {}/map.xml", "/map.xml"), ("", "/sitemap.xml")])
    def test_true_finds_those_of_the_hosts(self, www: Site, tmp_path: Path, rules: str, place: str) -> None:
        www.pages["/robots.txt"] = Reply(rules.format(www.url("").rstrip("/")).encode())
        www.pages[place] = Reply(listed(SITEMAP, "url", www.url("/a")))
        for path in ("/", "/a"):
            www.page(path, path)
        assert take(web(tmp_path, www.url("/"), sitemap=True)).uris == {www.url("/"), www.url("/a")}

    @pytest.mark.parametrize(
        ("reply", "reason"),
        [
            (Reply(status=404), "HTTP 404"),
            (Reply(b"<html><body>Not here</body></html>"), "is no sitemap, but <html>"),
            (Reply(b"<urlset><url>"), "is no XML"),
            (Reply(gzip.compress(b"\0" * 60_000_000)), "more than max_bytes"),
            (Reply(b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><urlset><url><loc>&e;</loc>'), "is no XML"),
        ],
    )
    def test_one_that_cannot_be_read_makes_the_listing_incomplete(
        self, www: Site, tmp_path: Path, reply: Reply, reason: str
    ) -> None:
        www.pages["/sitemap.xml"] = reply
        www.page("/", "Home")
        taken = take(web(tmp_path, www.url("/"), sitemap=www.url("/sitemap.xml")))
        assert reason in taken.incomplete
        assert taken.documents, "the rest is taken"


class TestPages:
    def test_text_title_and_metadata(self, www: Site, tmp_path: Path) -> None:
        body = """<!doctype html><html lang="en-GB"><head><title>Bridges of Rome</title><meta name="author" content="Ann Lee">
        <meta property="article:published_time" content="2024-05-01T10:00:00Z"><link rel="canonical" href="/bridges"></head><body>
        <nav><a href="/">Start page</a></nav><main><h1>Bridges of Rome</h1><p>The oldest bridge was built in
        <a href="javascript:alert(1)">179 BC</a>, and it crosses the <a href="/tiber">Tiber</a> near the island, as everybody
        knows.</p><h2>Dimensions</h2><table><tr><th>Name</th><th>Length</th></tr><tr><td>Aemilius</td><td>135 m</td></tr></table>
        <pre><code>def f():\n    return 1</code></pre></main>
        <script>track()</script><footer>All rights reserved</footer></body></html>"""
        www.pages["/b"] = Reply(body.encode(), headers={"Content-Type": "text/html"})
        (document,) = take(web(tmp_path, www.url("/b"))).documents.values()
        for part in ("# Bridges of Rome", "## Dimensions", "| Aemilius | 135 m |", "179 BC", "the Tiber near", "    return 1"):
            assert part in document.text, part
        for part in ("Start page", "javascript", "track()", "All rights"):
            assert part not in document.text, part
        assert document.metadata == {
            "uri": www.url("/b"),
            "title": "Bridges of Rome",
            "author": "Ann Lee",
            "date": "2024-05-01",
            "language": "en-GB",
            "category": "article",
            "format": "markdown",
            "canonical": www.url("/bridges"),
        }

    @pytest.mark.parametrize(
        ("header", "meta", "encoding"),
        [
            ("text/html", "", "utf-8"),
            ("text/html; charset=iso-8859-1", "", "utf-8"),  # wrong
            ("text/html; charset=utf-8", "", "cp1252"),  # wrong
            ("text/html; charset=utf-8", "windows-1252", "cp1252"),
            ('text/html; charset="windows-1251"', "", "cp1251"),
            ("text/html", "windows-1251", "cp1251"),
            ("text/html; charset=macintosh", "", "mac_roman"),  # which nobody guesses
            ("text/html; charset=nonsense", "", "utf-8"),
            ("text/html", "", "utf-16"),
        ],
    )
    def test_encodings(self, www: Site, tmp_path: Path, header: str, meta: str, encoding: str) -> None:
        said = (
            "Мост через реку очень длинный, и под ним живёт тролль."
            if encoding == "cp1251"
            else "Die Brücke über den Fluß ist schön – sehr lang."
        )
        body = article("Brücke" if encoding != "cp1251" else "Мост", said * 3).decode()
        body = body.replace("<head>", f'<head><meta charset="{meta}">' if meta else "<head>")
        www.pages["/x"] = Reply(body.encode(encoding), headers={"Content-Type": header})
        (document,) = take(web(tmp_path, www.url("/x"))).documents.values()
        assert said in document.text
        assert document.metadata["title"] in ("Brücke", "Мост")

    def test_plain_text_and_markdown_are_taken_as_they_are(self, www: Site, tmp_path: Path) -> None:
        www.pages["/a.txt"] = Reply(b"Two < three & four.", headers={"Content-Type": "text/plain"})
        www.pages["/b.md"] = Reply(b"# Title\n\nText.", headers={"Content-Type": "text/markdown"})
        taken = take(web(tmp_path, www.url("/a.txt"), www.url("/b.md"))).documents
        text, markdown = taken[www.url("/a.txt")], taken[www.url("/b.md")]
        assert (text.text, text.metadata["format"], text.metadata["title"]) == ("Two < three & four.", "text", "a.txt")
        assert (markdown.text, markdown.metadata["format"], markdown.metadata["title"]) == (
            "# Title\n\nText.",
            "markdown",
            "Title",
        )

    def test_a_page_without_text_is_a_failure(self, www: Site, tmp_path: Path) -> None:
        www.pages["/app"] = Reply(
            b"<html><body><div id=root></div><script>go()</script></body></html>", headers={"Content-Type": HTML}
        )
        (error,) = take(web(tmp_path, www.url("/app"))).errors.values()
        assert "has no text" in str(error)

    def test_100_000_elements_take_seconds_at_most(self, www: Site, tmp_path: Path) -> None:
        www.pages["/big"] = Reply(b"<html><body><main>" + b"<a href=/x>link</a> word " * 180_000, headers={"Content-Type": HTML})
        (document,) = take(web(tmp_path, www.url("/big"))).documents.values()
        assert document.text.count("word") == 180_000
        assert document.metadata["format"] == "text"


class TestNotFetchedAgain:
    def test_an_unchanged_page_is_not_sent_again(self, www: Site, tmp_path: Path) -> None:
        www.page("/", "Home", links=["/a"])
        www.page("/a", "A", links=["/b"])
        source = web(tmp_path, www.url("/"), depth=1)
        first = take(source)
        www.seen.clear()
        again = take(source)
        assert again.stamps == first.stamps
        assert all(again.stamps.values())
        assert www.paths(304) == ["/", "/a"]
        assert www.paths(200) == []

    def test_last_modified_will_do(self, www: Site, tmp_path: Path) -> None:
        www.etags = False
        stamp = "Wed, 01 May 2024 10:00:00 GMT"

        def page(seen: object) -> Reply:
            if getattr(seen, "headers", {}).get("If-Modified-Since") == stamp:
                return Reply(status=304)
            return Reply(article("A"), headers={"Content-Type": HTML, "Last-Modified": stamp})

        www.pages["/a"] = page
        source = web(tmp_path, www.url("/a"))
        assert take(source).stamps == take(source).stamps
        assert [one.status for one in www.seen if one.path == "/a"] == [200, 304]

    def test_what_changed_has_another_stamp(self, www: Site, tmp_path: Path) -> None:
        www.page("/a", "A")
        source = web(tmp_path, www.url("/a"))
        before = take(source)
        www.page("/a", "A", "The river is dry. There is nothing to cross any more, and nobody comes to see the old bridges.")
        after = take(source)
        assert before.stamps != after.stamps
        assert "is dry" in after.documents[www.url("/a")].text

    def test_max_age_asks_nothing(self, www: Site, tmp_path: Path) -> None:
        www.page("/", "Home", links=["/a", "/old"])
        www.page("/a", "A")
        www.pages["/old"] = redirect("/a")
        waits = Waits()
        source = web(tmp_path, www.url("/"), depth=1, max_age=3600, waits=waits)
        first = take(source)
        www.seen.clear()
        assert take(source).stamps == first.stamps
        assert www.seen == []
        waits.sleep(3601)
        assert take(source).stamps == first.stamps
        assert www.paths() == ["/", "/a", "/old"]

    def test_reading_and_converting_ask_nothing(self, www: Site, tmp_path: Path) -> None:
        www.page("/a", "A")
        entry = only(web(tmp_path, www.url("/a")))
        www.stop()
        assert "# A" in entry.convert(entry.read()).text

    def test_the_kept_copy_is_packed(self, www: Site, tmp_path: Path) -> None:
        www.page("/a", "A", "A sentence that is said again and again. " * 20_000)
        take(web(tmp_path, www.url("/a")))
        assert sum(path.stat().st_size for path in tmp_path.rglob("*")) < 100_000

    def test_pages_that_left_a_complete_listing_are_not_kept(self, www: Site, tmp_path: Path) -> None:
        www.page("/", "Home", links=["/a", "/b"])
        www.page("/a", "A")
        www.page("/b", "B")
        source = web(tmp_path, www.url("/"), depth=1)
        take(source)
        www.page("/", "Home", links=["/a"])
        assert take(source).uris == {www.url("/"), www.url("/a")}
        assert www.url("/b") not in source._pages.taken()

    def test_a_kept_file_that_is_broken_is_named(self, www: Site, tmp_path: Path) -> None:
        www.page("/a", "A")
        (tmp_path / "pages.sqlite").write_bytes(b"no database" * 1_000)
        assert "pages.sqlite cannot be used" in take(web(tmp_path, www.url("/a"))).incomplete


class TestAddresses:
    @pytest.mark.parametrize(
        ("written", "meant"),
        [
            ("HTTP://EXAMPLE.org:80", "http://example.org/"),
            ("https://example.org:443/a/../b/./c#part", "https://example.org/b/c"),
            ("https://example.org:8443/", "https://example.org:8443/"),
            ("https://e.org/?utm_source=x&b=2&a=1&fbclid=y", "https://e.org/?b=2&a=1"),
            ("https://e.org/a?utm_medium=x", "https://e.org/a"),
            ("https://e.org/%7euser/a%2fb c", "https://e.org/~user/a%2Fb%20c"),
            ("https://münchen.de/straße", "https://xn--mnchen-3ya.de/stra%C3%9Fe"),
            ("http://[2001:DB8::1]:8080/x", "http://[2001:db8::1]:8080/x"),
            ("https://e.org./x", "https://e.org/x"),
        ],
    )
    def test_one_form(self, written: str, meant: str) -> None:
        assert normal(written, tracking=("utm_*", "fbclid")) == meant
        assert normal(meant, tracking=("utm_*", "fbclid")) == meant

    @pytest.mark.parametrize(
        "url",
        [
            "file:///etc/passwd", "ftp://e.org/", "http://user:pw@e.org/", "http://2130706433/", "http://0x7f.1/", "http://127.1/",
            "http:///x", "gopher://x", "http://e.org/" + "a" * 2_001,
        ],
    )  # fmt: skip
    def test_refused(self, url: str) -> None:
        with pytest.raises(ValueError, match=r"^its? "):
            normal(url)


def test_an_address_that_is_refused_fails_alone(www: Site, tmp_path: Path) -> None:
    www.page("/a", "A")
    taken = take(web(tmp_path, "http://2130706433/", www.url("/a"), "HTTP://127.0.0.1:" + str(www.port) + "/a#part"))
    assert "its host is a number" in str(taken.errors["http://2130706433/"])
    assert set(taken.documents) == {www.url("/a")}


class TestOptions:
    @pytest.mark.parametrize(
        ("options", "told"),
        [
            ({}, "name pages with 'urls'"),
            ({"sitemap": True}, "needs 'urls'"),
            ({"urls": ["example.org"]}, "begins with http"),
            ({"urls": ["file:///etc/passwd"]}, "begins with http"),
            ({"urls": ["https://me:hunter2@example.org/"]}, "user name or password"),
            ({"urls": ["http://[x/"]}, "cannot be read"),
            ({"urls": ["https://e.org"], "headers": {"X": "a\nb: c"}}, "must be what HTTP carries"),
            ({"urls": ["https://e.org"], "headers": {"Host": "other"}}, "cannot set 'Host'"),
            ({"urls": ["https://e.org"], "user_agent": "a\nb"}, "must be what HTTP carries"),
            ({"urls": ["https://e.org"], "include": []}, "at least 1"),
            ({"urls": ["https://e.org"], "depth": -1}, "greater than or equal"),
        ],
    )
    def test_wrong_ones(self, options: dict[str, object], told: str) -> None:
        with pytest.raises(ValidationError, match=told) as caught:
            WebOptions.model_validate(options)
        assert "hunter2" not in " ".join(error["msg"] for error in caught.value.errors())
