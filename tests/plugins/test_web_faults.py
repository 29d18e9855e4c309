"""Sites that misbehave: each page fails by itself, with its reason, nothing hangs, and what is known stays listed."""

from __future__ import annotations

import threading
import zlib
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from webbing import Waits, take, web
from website import HTML, Reply, Site, article, free_port, packed, redirect, site

OK = Reply(article("Rhine"), headers={"Content-Type": HTML})
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"


@pytest.fixture
def www() -> Iterator[Site]:
    with site() as running:
        running.page("/good", "Good")
        yield running


@pytest.fixture
def other() -> Iterator[Site]:
    with site() as running:
        yield running


def reason(www: Site, folder: Path, path: str, **options: Any) -> str:
    """Why `path` cannot be taken; the page beside it is taken all the same."""
    taken = take(web(folder, www.url(path), www.url("/good"), **{"retries": 0, **options}))
    assert set(taken.documents) == {www.url("/good")}
    assert not taken.incomplete
    return str(taken.errors[www.url(path)])


class TestStatus:
    @pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
    def test_what_may_pass_is_asked_for_again(self, www: Site, tmp_path: Path, status: int) -> None:
        www.pages["/a"] = [Reply(status=status), Reply(status=status), OK]
        waits = Waits()
        assert take(web(tmp_path, www.url("/a"), waits=waits)).documents
        assert www.paths() == ["/a"] * 3
        first, second = waits.slept
        assert 0 <= first <= 1
        assert 0 <= second <= 2

    def test_waits_grow_and_differ(self, www: Site, tmp_path: Path) -> None:
        www.pages["/a"] = Reply(status=500)
        waits = Waits()
        take(web(tmp_path, www.url("/a"), waits=waits, retries=9))
        assert len(waits.slept) == 9
        assert len(set(waits.slept)) == 9, "with jitter"
        assert all(0 <= wait <= min(30, 2**number) for number, wait in enumerate(waits.slept))
        assert sum(waits.slept) > 5

    @pytest.mark.parametrize("status", [401, 403, 418, 501])
    def test_what_does_not_pass_is_asked_for_once(self, www: Site, tmp_path: Path, status: int) -> None:
        www.pages["/a"] = Reply(status=status)
        assert f"HTTP {status}" in reason(www, tmp_path, "/a", retries=3)
        assert www.paths().count("/a") == 1

    def test_retry_after_in_seconds_and_as_a_date(self, www: Site, tmp_path: Path) -> None:
        waits = Waits()
        later = formatdate(waits.today() + 37, usegmt=True)
        www.pages["/a"] = [Reply(status=429, headers={"Retry-After": "5"}), Reply(status=503, headers={"Retry-After": later}), OK]
        assert take(web(tmp_path, www.url("/a"), waits=waits)).documents
        assert waits.slept[0] == 5
        assert 30 < waits.slept[1] <= 37

    def test_a_host_that_wants_to_be_left_alone_for_long_is(self, www: Site, tmp_path: Path) -> None:
        www.pages["/"] = Reply(article("Home", links=["/a", "/b"]), headers={"Content-Type": HTML})
        www.pages["/a"] = Reply(status=429, headers={"Retry-After": "86400"})
        waits = Waits()
        taken = take(web(tmp_path, www.url("/"), depth=1, waits=waits))
        assert "86,400 s, longer than max_wait" in str(taken.errors[www.url("/a")])
        assert "1 pages were not asked for" in taken.incomplete
        assert waits.slept == []
        assert www.paths() == ["/", "/a"]

    def test_a_host_that_never_answers_well_is_left_alone(self, www: Site, tmp_path: Path) -> None:
        www.page("/", "Home", links=[f"/{number}" for number in range(100)])
        for number in range(100):
            www.pages[f"/{number}"] = Reply(status=500)
        taken = take(web(tmp_path, www.url("/"), depth=1, retries=0))
        assert len(www.paths(500)) == 5
        assert "95 pages were not asked for" in taken.incomplete

    def test_404_of_a_page_that_was_never_taken_is_told(self, www: Site, tmp_path: Path) -> None:
        assert "correct `urls`" in reason(www, tmp_path, "/mistyped")

    def test_a_page_that_fails_is_listed_and_told(self, www: Site, tmp_path: Path) -> None:
        www.page("/a", "A")
        source = web(tmp_path, www.url("/a"), retries=0)
        take(source)
        www.pages["/a"] = Reply(status=500)
        taken = take(source)
        assert taken.stamps == {www.url("/a"): None}, "so that it is read, and the failure seen"
        assert "HTTP 500" in str(taken.errors[www.url("/a")])


class TestRedirects:
    def test_the_last_address_counts(self, www: Site, tmp_path: Path) -> None:
        www.pages["/a"] = redirect("/b", 301)
        www.pages["/b"] = redirect("c#part", 307)
        www.page("/c", "C")
        taken = take(web(tmp_path, www.url("/a"), www.url("/c")))
        assert set(taken.documents) == {www.url("/c")}
        assert www.paths() == ["/a", "/b", "/c"]

    @pytest.mark.parametrize("pages", [{"/a": "/a"}, {"/a": "/b", "/b": "/a"}])
    def test_circles(self, www: Site, tmp_path: Path, pages: dict[str, str]) -> None:
        for path, to in pages.items():
            www.pages[path] = redirect(to)
        assert "is redirected in a circle" in reason(www, tmp_path, "/a")
        assert len(www.paths(302)) == len(pages)

    def test_without_end(self, www: Site, tmp_path: Path) -> None:
        for number in range(50):
            www.pages[f"/{number}"] = redirect(f"/{number + 1}")
        assert "more than 10 times" in reason(www, tmp_path, "/0")

    @pytest.mark.parametrize(
        "to", ["file:///etc/passwd", "ftp://e.org/", "http://2130706433/", "http://me:hunter2@127.0.0.1/", ""]
    )
    def test_to_where_nobody_goes(self, www: Site, tmp_path: Path, to: str) -> None:
        www.pages["/a"] = redirect(to)
        told = reason(www, tmp_path, "/a")
        assert "is redirected" in told
        assert "hunter2" not in told

    def test_a_first_page_may_lead_to_another_host(self, www: Site, other: Site, tmp_path: Path) -> None:
        www.pages["/"] = redirect(other.url("/"))
        other.page("/", "Home", links=["/a"])
        other.page("/a", "A")
        assert set(take(web(tmp_path, www.url("/"), depth=1)).documents) == {other.url("/"), other.url("/a")}

    def test_a_link_that_leads_to_another_host_is_none(self, www: Site, other: Site, tmp_path: Path) -> None:
        www.page("/", "Home", links=["/out"])
        www.pages["/out"] = redirect(other.url("/"))
        assert take(web(tmp_path, www.url("/"), depth=1)).uris == {www.url("/")}
        assert other.seen == []

    def test_a_page_that_was_moved_to_another_host_is_told(self, www: Site, other: Site, tmp_path: Path) -> None:
        www.page("/", "Home", links=["/a"])
        www.page("/a", "A")
        source = web(tmp_path, www.url("/"), depth=1)
        take(source)
        www.pages["/a"] = redirect(other.url("/a"), 301)
        for _ in range(2):
            assert "was moved to" in str(take(source).errors[www.url("/a")])

    def test_robots_count_for_every_address_on_the_way(self, www: Site, tmp_path: Path) -> None:
        www.pages["/robots.txt"] = Reply(b"User-agent: *\nDisallow: /closed")
        www.pages["/a"] = redirect("/closed")
        assert "robots.txt forbids it" in reason(www, tmp_path, "/a")
        assert "/closed" not in www.paths()


class TestBodies:
    @pytest.mark.parametrize("kind", ["application/msword", "image/png", "application/json", "application/octet-stream"])
    def test_a_wrong_content_type_is_not_read(self, www: Site, tmp_path: Path, kind: str) -> None:
        www.pages["/a"] = Reply(b"x" * 1_000, headers={"Content-Type": kind})
        assert f"is {kind}, and no page of text" in reason(www, tmp_path, "/a")

    def test_too_large_as_it_says(self, www: Site, tmp_path: Path) -> None:
        www.pages["/a"] = Reply(raw=lambda wire, closing: wire.write(HEAD + b"Content-Length: 9999999999\r\n\r\n"))
        assert "more than max_bytes (5,000,000)" in reason(www, tmp_path, "/a")

    def test_too_large_without_saying(self, www: Site, tmp_path: Path) -> None:
        def endless(wire: Any, closing: threading.Event) -> None:
            wire.write(HEAD + b"\r\n")
            while not closing.is_set():
                wire.write(b"<p>more and more</p>" * 1_000)

        www.pages["/a"] = Reply(raw=endless)
        assert "more than max_bytes (100,000)" in reason(www, tmp_path, "/a", max_bytes=100_000)

    def test_a_bomb(self, www: Site, tmp_path: Path) -> None:
        import tracemalloc

        zeros = b"\0" * 1_000_000
        packer = zlib.compressobj(9, zlib.DEFLATED, 31)
        bomb = b"".join(packer.compress(zeros) for _ in range(500)) + packer.flush()
        assert len(bomb) < 600_000
        www.pages["/a"] = Reply(bomb, headers={"Content-Type": HTML, "Content-Encoding": "gzip"})
        tracemalloc.start()
        try:
            assert "more than max_bytes" in reason(www, tmp_path, "/a", max_bytes=1_000_000)
            assert tracemalloc.get_traced_memory()[1] < 50_000_000
        finally:
            tracemalloc.stop()

    def test_packed_with_gzip(self, www: Site, tmp_path: Path) -> None:
        www.pages["/a"] = packed(article("Packed"))
        (document,) = take(web(tmp_path, www.url("/a"))).documents.values()
        assert "# Packed" in document.text

    @pytest.mark.parametrize("body", [b"no gzip at all", packed(article("Cut")).body[:-20]])
    def test_packed_badly(self, www: Site, tmp_path: Path, body: bytes) -> None:
        www.pages["/a"] = Reply(body, headers={"Content-Type": HTML, "Content-Encoding": "gzip"})
        assert "cannot be unpacked" in reason(www, tmp_path, "/a")

    def test_packed_in_a_way_nobody_asked_for(self, www: Site, tmp_path: Path) -> None:
        www.pages["/a"] = Reply(b"x", headers={"Content-Type": HTML, "Content-Encoding": "zstd"})
        assert "packed as 'zstd'" in reason(www, tmp_path, "/a")

    def test_cut_off_and_then_whole(self, www: Site, tmp_path: Path) -> None:
        cut = Reply(raw=lambda wire, closing: wire.write(HEAD + b"Content-Length: 5000\r\n\r\n<p>half"))
        www.pages["/a"] = [cut, OK]
        (document,) = take(web(tmp_path, www.url("/a"))).documents.values()
        assert "# Rhine" in document.text


class TestTime:
    def test_a_stream_without_end(self, www: Site, tmp_path: Path) -> None:
        def drip(wire: Any, closing: threading.Event) -> None:
            wire.write(HEAD + b"\r\n")
            while not closing.wait(0.02):
                wire.write(b".")

        www.pages["/a"] = Reply(raw=drip)
        assert "takes longer than max_seconds (0.5)" in reason(www, tmp_path, "/a", max_seconds=0.5, retries=3)
        assert www.paths().count("/a") == 1

    def test_headers_without_end(self, www: Site, tmp_path: Path) -> None:
        def drip(wire: Any, closing: threading.Event) -> None:
            wire.write(HEAD)
            while not closing.wait(0.02):
                wire.write(b"X-A: b\r\n")

        www.pages["/a"] = Reply(raw=drip)
        assert "takes longer than max_seconds" in reason(www, tmp_path, "/a", max_seconds=0.5)

    def test_silence(self, www: Site, tmp_path: Path) -> None:
        www.pages["/a"] = Reply(raw=lambda wire, closing: closing.wait())
        assert "says nothing for 0.3 s" in reason(www, tmp_path, "/a", timeout=0.3)

    def test_nobody_there(self, www: Site, tmp_path: Path) -> None:
        gone = f"http://127.0.0.1:{free_port()}/"
        taken = take(web(tmp_path, gone, www.url("/good"), retries=1, robots=False))
        assert "cannot be reached" in str(taken.errors[gone])
        assert set(taken.documents) == {www.url("/good")}

    @pytest.mark.parametrize("noise", [b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 200 OK\r\nA" * 20_000, b"\0" * 100, b""])
    def test_no_http(self, www: Site, tmp_path: Path, noise: bytes) -> None:
        www.pages["/a"] = Reply(raw=lambda wire, closing: wire.write(noise))
        assert "the connection broke off" in reason(www, tmp_path, "/a")


class TestNothingIsMissed:
    def test_pages_behind_one_that_fails_stay_listed(self, www: Site, tmp_path: Path) -> None:
        www.page("/", "Home", links=["/hub", "/x"])
        www.page("/hub", "Hub", links=["/a", "/b"])
        for path in ("/a", "/b", "/x"):
            www.page(path, path)
        source = web(tmp_path, www.url("/"), depth=2, retries=0)
        everything = take(source).uris
        assert len(everything) == 5
        www.pages["/hub"] = Reply(status=500)
        www.pages["/b"] = Reply(status=410)
        www.seen.clear()
        taken = take(source)
        assert taken.uris == everything
        assert not taken.incomplete
        assert {uri: type(error).__name__ for uri, error in taken.errors.items()} == {
            www.url("/hub"): "DocumentError",
            www.url("/b"): "DocumentGone",
        }
        assert www.paths(304) == ["/", "/x", "/a"]

    def test_pages_that_max_pages_cuts_off_stay_listed(self, www: Site, tmp_path: Path) -> None:
        www.page("/", "Home", links=[f"/{number}" for number in range(4)])
        for number in range(10):
            www.page(f"/{number}", f"Page {number}")
        source = web(tmp_path, www.url("/"), depth=1, max_pages=5)
        before = take(source).uris
        www.page("/", "Home", links=[f"/{number}" for number in range(9, -1, -1)])
        after = take(source)
        assert before < after.uris
        assert len(after.documents) == 9
        assert not after.incomplete

    def test_a_first_page_that_fails_makes_the_listing_incomplete(self, www: Site, tmp_path: Path) -> None:
        www.page("/", "Home", links=["/a"])
        www.page("/a", "A")
        source = web(tmp_path, www.url("/"), depth=1, retries=0)
        take(source)
        for status in (500, 403, 404):
            www.pages["/"] = Reply(status=status)
            taken = take(source)
            assert f"HTTP {status}" in taken.incomplete
            assert set(taken.errors) == {www.url("/")}

    def test_what_an_address_led_to_stays_listed_when_it_fails(self, www: Site, tmp_path: Path) -> None:
        www.pages["/short"] = redirect("/long")
        www.page("/long", "Long")
        source = web(tmp_path, www.url("/short"), retries=0)
        assert take(source).uris == {www.url("/long")}
        www.pages["/short"] = Reply(status=500)
        taken = take(source)
        assert set(taken.documents) == {www.url("/long")}
        assert set(taken.errors) == {www.url("/short")}

    def test_a_host_that_goes_away_midway(self, tmp_path: Path) -> None:
        with site() as www:
            www.page("/", "Home", links=[f"/{number}" for number in range(30)])
            for number in range(30):
                www.page(f"/{number}", f"Page {number}")
            source = web(tmp_path, www.url("/"), depth=1, retries=1)
            assert len(take(source).documents) == 31
            hangs_up = Reply(raw=lambda wire, closing: None)
            www.pages = {**www.pages, **{f"/{number}": hangs_up for number in range(10, 30)}}
            taken = take(source)
            assert len(taken.documents) == 11
            assert "15 pages were not asked for" in taken.incomplete
            assert len(www.paths(200)) == 31 + 5 * 2, "nothing that is known was sent again; five pages were tried twice"
