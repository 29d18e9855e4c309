from __future__ import annotations

import logging
import warnings

import pytest
from llama_index.core.schema import Document
from pdfs import encrypted, pdf

from ragkit.conversion.convert import Converter
from ragkit.errors import DocumentError
from ragkit.text import pages


def convert(raw: bytes, **options: int) -> Document:
    return Converter(**options).convert("a.pdf", raw)  # type: ignore[arg-type]


def test_text_by_page_with_title_and_author() -> None:
    document = convert(pdf("First page.", "Second page.", title="The Report", author="Ann"))
    assert document.text == "First page.\n\f\nSecond page."
    assert [document.text[start:].split()[0] for start in pages(document.text)] == ["First", "Second"]
    metadata = document.metadata
    assert (metadata["title"], metadata["author"], metadata["pages"], metadata["format"]) == ("The Report", "Ann", 2, "text")
    assert len(metadata["date"]) == 10


def test_a_title_made_by_a_program_is_none() -> None:
    assert convert(pdf("x")).metadata["title"] == "a"
    assert convert(pdf("x", title="Microsoft Word - report.doc")).metadata["title"] == "a"


def test_encrypted_with_a_password() -> None:
    with pytest.raises(DocumentError, match=r"a\.pdf: the PDF is encrypted and needs a password"):
        convert(encrypted(pdf("secret"), "password"))


def test_encrypted_against_printing_only() -> None:
    assert convert(encrypted(pdf("for all to read"), "")).text == "for all to read"


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.98])
def test_cut_short(share: float) -> None:
    raw = pdf(*(f"Page {n}." for n in range(20)))
    with pytest.raises(DocumentError, match="cut short"):
        convert(raw[: int(len(raw) * share)])


def test_a_hole_in_the_middle(caplog: pytest.LogCaptureFixture) -> None:
    raw = pdf(*(f"Page {n}." for n in range(20)))
    with warnings.catch_warnings(), caplog.at_level(logging.WARNING):
        warnings.simplefilter("error")
        with pytest.raises(DocumentError, match=r"a\.pdf: the PDF"):
            convert(raw[:300] + raw[-60:])
    assert not caplog.records


@pytest.mark.parametrize("raw", [b"", b"not a PDF", b"<html>an error page</html>"])
def test_what_is_no_pdf(raw: bytes) -> None:
    with pytest.raises(DocumentError, match="is not a PDF"):
        convert(raw)


def test_only_a_header_and_an_end() -> None:
    with pytest.raises(DocumentError, match="the PDF is broken"):
        convert(b"%PDF-1.7\n%%EOF")


def test_no_text() -> None:
    with pytest.raises(DocumentError, match=r"no text in its 2 pages\n.*OCR"):
        convert(pdf("", ""))


def test_too_many_pages() -> None:
    with pytest.raises(DocumentError, match=r"has 12 pages, more than max_pages \(10\)\n.*`max_pages`"):
        convert(pdf(*"x" * 12), max_pages=10)
