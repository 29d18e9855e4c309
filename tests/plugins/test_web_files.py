"""PDFs, Office documents and books on sites: taken as pages are, and read as files are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from office import docx, epub, paragraph
from pdfs import encrypted, pdf
from webbing import only, take, web
from website import Reply, Site, redirect, site

from ragkit.conversion import workers
from ragkit.conversion.formats import DOCX, EPUB, PDF
from ragkit.host import Host
from ragkit.pipeline import Pipeline
from ragkit.testing import plugin
from ragkit.text import PAGE_BREAK
from ragkit_web.files import kind_of

WORD = docx(paragraph("The boiler needs water.", "Heading1") + paragraph("Every second week."))


@pytest.fixture
def www() -> Iterator[Site]:
    with site() as running:
        yield running


def reply(body: bytes, kind: str) -> Reply:
    return Reply(body, headers={"Content-Type": kind})


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/paper.pdf", PDF),
        ("/pdf/1706.03762", f"{PDF}; charset=binary"),
        ("/paper", "Application/X-PDF"),
        ("/a/Paper%20one.PDF?download=1", "application/octet-stream"),
        ("/paper.html", PDF),
    ],
)
def test_a_pdf_is_told_by_its_type_or_where_that_says_nothing_by_its_name(
    www: Site, tmp_path: Path, path: str, kind: str
) -> None:
    www.pages[path] = reply(pdf("The reef is deep.", "It has fish.", title="On reefs", author="A. Diver"), kind)
    (document,) = take(web(tmp_path, www.url(path))).documents.values()
    assert [page.strip() for page in document.text.split(PAGE_BREAK)] == ["The reef is deep.", "It has fish."]
    expected = {"uri": www.url(path), "title": "On reefs", "author": "A. Diver", "category": "article", "file_type": PDF}
    assert expected.items() <= document.metadata.items()
    assert document.id_ == www.url(path)


def test_word_and_books_are_read_as_well(www: Site, tmp_path: Path) -> None:
    www.pages["/guide"] = reply(WORD, DOCX)
    www.pages["/book.epub"] = reply(epub("<h1>Lakes</h1><p>They are cold.</p>"), EPUB)
    documents = take(web(tmp_path, www.url("/guide"), www.url("/book.epub"))).documents
    assert "# The boiler needs water." in documents[www.url("/guide")].text
    assert documents[www.url("/guide")].metadata["format"] == "markdown"
    assert "They are cold." in documents[www.url("/book.epub")].text


def test_one_without_a_title_is_called_by_its_name(www: Site, tmp_path: Path) -> None:
    www.pages["/files/deep%20lakes.pdf"] = reply(pdf("The lake is deep."), PDF)
    (document,) = take(web(tmp_path, www.url("/files/deep%20lakes.pdf"))).documents.values()
    assert document.metadata["title"] == "deep lakes"


def test_links_and_redirects_lead_to_them(www: Site, tmp_path: Path) -> None:
    www.page("/", "Home", links=["/a.pdf", "/moved"])
    www.pages["/a.pdf"] = reply(pdf("http://example.com/ is no link here"), PDF)
    www.pages["/moved"] = redirect("/b")
    www.pages["/b"] = reply(WORD, DOCX)
    taken = take(web(tmp_path, www.url("/"), depth=3))
    assert set(taken.documents) == {www.url("/"), www.url("/a.pdf"), www.url("/b")}
    assert not taken.incomplete


def test_an_unchanged_one_is_not_sent_again(www: Site, tmp_path: Path) -> None:
    www.pages["/a.pdf"] = reply(pdf("The lake is deep."), PDF)
    first = only(web(tmp_path, www.url("/a.pdf")))
    again = only(web(tmp_path, www.url("/a.pdf")))
    assert [seen.status for seen in www.seen if seen.path == "/a.pdf"] == [200, 304]
    assert (first.stamp, first.version) == (again.stamp, again.version)
    assert "pypdf" in (first.version or "")
    assert again.convert(again.read()).text == first.convert(first.read()).text


def test_they_can_be_left_out(www: Site, tmp_path: Path) -> None:
    www.pages["/a.pdf"] = reply(pdf("The lake is deep."), PDF)
    error = take(web(tmp_path, www.url("/a.pdf"), files=False)).errors[www.url("/a.pdf")]
    assert f"is {PDF}, and no page of text; `files: true` takes it" in str(error)


@pytest.mark.parametrize(
    ("body", "kind", "told"),
    [
        (encrypted(pdf("secret"), "password"), PDF, "password"),
        (pdf("cut")[:200], PDF, "the PDF is cut short"),
        (b"<html><body>Please sign in.</body></html>", PDF, "a PDF"),
        (b"<html><body>Please sign in.</body></html>", DOCX, "is not a Word document"),
        (b"", PDF, "is empty, and is not a PDF"),
    ],
)
def test_what_is_broken_is_a_failure_and_the_rest_is_taken(www: Site, tmp_path: Path, body: bytes, kind: str, told: str) -> None:
    www.pages["/a"] = reply(body, kind)
    www.page("/good", "Good")
    taken = take(web(tmp_path, www.url("/a"), www.url("/good")))
    assert set(taken.documents) == {www.url("/good")}
    assert told in str(taken.errors[www.url("/a")])
    assert www.url("/a") in str(taken.errors[www.url("/a")])


def test_one_that_takes_too_long_is_ended(www: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "slow_worker.py").write_text(
        "from ragkit.conversion import worker\n"
        "def forever(*asked):\n    while True: pass\n"
        "worker.read_container = forever\nworker.main()\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(workers, "_MODULE", "slow_worker")
    www.pages["/a.pdf"] = reply(pdf("The lake is deep."), PDF)
    error = take(web(tmp_path / "state", www.url("/a.pdf"), max_seconds=2)).errors[www.url("/a.pdf")]
    assert "takes longer than 2 s to convert" in str(error)
    assert "raise `max_seconds`" in str(error)


def test_other_types_are_no_files() -> None:
    assert kind_of("http://host/a.pdf", "text/html") == ""
    assert kind_of("http://host/a.zip", "application/octet-stream") == ""
    assert kind_of("http://host/a.pdf", "") == ""


def test_a_hit_names_the_page_of_a_pdf_from_the_web(www: Site, tmp_path: Path) -> None:
    www.pages["/manual.pdf"] = reply(
        pdf("What the manual of this house says, in short.", "The boiler needs water every second week."), PDF
    )
    config = tmp_path / "ragkit.yaml"
    config.write_text(
        f"sources: [{{use: web, urls: ['{www.url('/manual.pdf')}'], allow_private: true, delay: 0}}]\n"
        "embedding: fake\nretriever: keyword\nchunker: {use: sentence, size: 16, overlap: 0}\n"
    )
    with Pipeline.from_yaml(config, host=Host(plugins=[plugin])) as pipeline:
        assert pipeline.ingest().exit_status == 0
        hit = pipeline.search("boiler water", k=1).hits[0]
    assert (hit.uri, hit.metadata["page"]) == (www.url("/manual.pdf"), 2)
