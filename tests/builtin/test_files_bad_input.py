"""Files that are broken, hostile or not what their names say: each fails alone, soon, and with its reason."""

from __future__ import annotations

import io
import os
import resource
import struct
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from llama_index.core.schema import Document
from office import docx, epub, paragraph, xlsx, zipped
from pdfs import encrypted, pdf
from projects import Project

from ragkit.conversion.convert import Converter
from ragkit.errors import DocumentError

DOCX = docx(paragraph("Words."))
XLSX = xlsx(S=[["a", "b"]])
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"


def convert(uri: str, raw: bytes) -> Document:
    return Converter().convert(uri, raw)


def refused(uri: str, raw: bytes) -> str:
    """The message of the failure; it names the document and comes soon."""
    started = time.monotonic()
    with pytest.raises(DocumentError) as caught:
        convert(uri, raw)
    assert time.monotonic() - started < 10
    assert caught.value.uri == uri
    assert str(caught.value).startswith(f"{uri}: ")
    return str(caught.value)


# wrong suffixes


@pytest.mark.parametrize(
    ("uri", "raw", "text"),
    [
        ("a.docx", pdf("A PDF."), "A PDF."),
        ("a.pdf", DOCX, "Words."),
        ("a.xlsx", DOCX, "Words."),
        ("a.docx", XLSX, "## S\n\n| a | b |\n| --- | --- |"),
        ("a.docx", epub("<p>A book.</p>"), "A book."),
        ("a.epub", pdf("A PDF."), "A PDF."),
    ],
)
def test_a_container_is_read_as_what_it_is(uri: str, raw: bytes, text: str) -> None:
    assert convert(uri, raw).text == text


@pytest.mark.parametrize(
    ("uri", "raw", "reason"),
    [
        ("a.docx", b"", "is empty, and is not a Word document"),
        ("a.xlsx", b"\0" * 1_000, "is empty, and is not an Excel workbook"),
        ("a.pdf", b"", "is not a PDF"),
        ("a.docx", b"plain text", "is not a Word document"),
        ("a.pptx", b"<html>error 404</html>", "is not a PowerPoint presentation"),
        ("a.docx", zipped({"a.txt": "x"}), "is not a Word document"),
        ("a.pdf", zipped({"a.txt": "x"}), "is not a PDF"),
        ("a.txt", zipped({"a.txt": "x"}), "looks binary: it is a ZIP archive"),
        ("a.md", DOCX, "looks binary: it is a ZIP archive; an Office document or a book needs its own suffix"),
        ("a.txt", pdf("x"), "looks binary: it is a PDF; give it the suffix .pdf"),
        ("a.docx", OLE + b"\0" * 600, "is in the format of Office 97 to 2003"),
        ("a.docx", OLE + b"\0" * 600 + "EncryptedPackage".encode("utf-16-le"), "is encrypted and needs a password"),
        ("a.json", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "looks binary"),
        ("a.csv", b"\x7fELF\x02\x01\x01\0\0\0", "looks binary"),
        ("a.py", b"\xca\xfe\xba\xbe\0\0\0\x3d", "looks binary"),
    ],
)
def test_what_is_something_else(uri: str, raw: bytes, reason: str) -> None:
    assert reason in refused(uri, raw)


# broken, encrypted


@pytest.mark.parametrize("raw", [DOCX, XLSX, epub("<p>A book.</p>")], ids=["docx", "xlsx", "epub"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_cut_short(raw: bytes, share: float) -> None:
    assert "the package is broken or cut short" in refused("a.docx", raw[: int(len(raw) * share)])


@pytest.mark.parametrize("place", range(60, 900, 120))
@pytest.mark.parametrize(("uri", "raw"), [("a.docx", DOCX), ("a.xlsx", XLSX), ("a.epub", epub("<p>A book.</p>"))])
def test_changed_bytes(uri: str, raw: bytes, place: int) -> None:
    broken = raw[:place] + bytes(byte ^ 0x55 for byte in raw[place : place + 12]) + raw[place + 12 :]
    try:
        told = f"text: {convert(uri, broken).text}"
    except DocumentError as error:  # and nothing else
        told = f"{error.uri}: {error.message}"
    assert told.startswith(("text: ", f"{uri}: "))


def test_a_part_that_is_missing() -> None:
    assert "broken" in refused("a.docx", zipped({"word/document.xml": "<x/>"}))
    assert "part META-INF/container.xml is missing or broken" in refused("a.epub", zipped({"META-INF/container.xml": "<x"}))
    assert "the book has no text" in refused("a.epub", epub(""))


def test_a_package_with_a_password() -> None:
    raw = bytearray(zipped({"word/document.xml": "x"}))
    raw[raw.rindex(b"PK\x01\x02") + 8] |= 1
    assert "is encrypted and needs a password" in refused("a.docx", bytes(raw))


def test_a_protected_book() -> None:
    assert "(DRM)" in refused("a.epub", epub("<p>x</p>", **{"META-INF__rights.xml": "<x/>"}))


# bombs


def lying_zip(unpacked: int, picture: bytes = b"") -> bytes:
    """A package whose directory says that its main part has so many bytes."""
    raw = bytearray(docx(paragraph("Words."), **{"word__media__a.png": picture}))
    name = b"word/document.xml"
    entry = raw.rindex(name) - 46
    raw[entry + 24 : entry + 28] = struct.pack("<I", unpacked)
    return bytes(raw)


def bomb(size: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as package, package.open("word/document.xml", "w") as part:
        for _ in range(size // 1_000_000):
            part.write(bytes(1_000_000))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: lying_zip(300_000_000, os.urandom(3_000_000)), "bytes when it is unpacked\n"),
        (lambda: bomb(300_000_000), "looks like a ZIP bomb: it has 300,000,000 bytes when it is unpacked"),
        (lambda: bomb(100_000_000), "times its size"),
        (lambda: lying_zip(4_000_000_000), "4,000,"),
        (lambda: zipped({f"{n}.xml": "" for n in range(10_001)}), "entries, more than 10,000"),
        (lambda: zipped({f"{n}/{'x' * 500}.xml": "" for n in range(9_000)}), "more than 10,000 entries"),
    ],
    ids=["growth", "size", "ratio", "lie", "entries", "directory"],
)
@pytest.mark.parametrize("uri", ["a.docx", "a.xlsx", "a.pptx", "a.epub", "a.pdf"])
def test_zip_bombs(uri: str, make: Callable[[], bytes], reason: str) -> None:
    raw = make()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    message = refused(uri, raw)
    assert "looks like a ZIP bomb" in message
    assert reason in message
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


LAUGHS = "<!DOCTYPE x [<!ENTITY a0 'ha'>" + "".join(f"<!ENTITY a{n} '{f'&a{n - 1};' * 10}'>" for n in range(1, 12)) + "]>"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_billion_laughs(encoding: str) -> None:
    xml = f'<?xml version="1.0" encoding="{encoding}"?>{LAUGHS}<x>&a11;</x>'.encode(encoding)
    assert "declares XML entities" in refused("a.docx", docx(paragraph("&a11;"), prolog=LAUGHS))
    assert "declares XML entities" in refused("a.docx", docx("", **{"docProps__core.xml": xml}))
    book = zipped({**_parts(epub("<p>x</p>")), "OEBPS/content.opf": xml})
    assert "content.opf is missing or broken" in refused("a.epub", book)


def test_an_outer_entity_reads_no_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("a secret")
    prolog = f'<!DOCTYPE x [<!ENTITY s SYSTEM "file://{tmp_path}/secret">]>'
    assert "declares XML entities" in refused("a.docx", docx(paragraph("&s;"), prolog=prolog))
    book = zipped({**_parts(epub("<p>x</p>")), "OEBPS/ch 0.xhtml": f"{prolog}<html><body>&s; text</body></html>"})
    assert "secret" not in convert("a.epub", book).text


def _parts(raw: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(raw)) as package:
        return {name: package.read(name) for name in package.namelist()}


@pytest.fixture
def visits() -> Iterator[tuple[str, list[str]]]:
    """The address of a web server, and what was asked of it."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *_: Any) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()
        thread.join()


def test_nothing_is_fetched(visits: tuple[str, list[str]]) -> None:
    address, asked = visits
    relations = (
        '<?xml version="1.0"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
        f'<Relationship Id="p1" Target="{address}/a.png" '
        'Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/image" '
        'TargetMode="External"/></Relationships>'
    )
    picture = (
        '<w:p><w:r><w:drawing><wp:inline xmlns:wp="http://schemas.openxmlformats.org/drawingml/2006/wordprocessingDrawing">'
        '<a:graphic xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main"><a:graphicData>'
        '<pic:pic xmlns:pic="http://schemas.openxmlformats.org/drawingml/2006/picture"><pic:blipFill><a:blip '
        'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships" r:link="p1"/></pic:blipFill></pic:pic>'
        "</a:graphicData></a:graphic></wp:inline></w:drawing></w:r></w:p>"
    )
    raw = docx(picture + paragraph("Words."), **{"word___rels__document.xml.rels": relations})
    assert convert("a.docx", raw).text == "Words."
    convert("a.epub", epub(f"<p>x<img src='{address}/b.png'></p><link rel=stylesheet href='{address}/c.css'>"))
    convert("a.html", f"<p>x<img src='{address}/d.png'>".encode())
    assert asked == []


def test_a_missing_package_is_the_failure_of_the_documents_that_need_it(tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules['markitdown'] = None\n"
        "from ragkit.conversion.convert import Converter; from ragkit.errors import DocumentError\n"
        "try: Converter().convert('a.docx', open(sys.argv[1], 'rb').read())\n"
        "except DocumentError as error: print(error)\n"
    )
    (tmp_path / "a.docx").write_bytes(DOCX)
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path / "a.docx")], check=True, capture_output=True, text=True)
    assert done.stdout == (
        "a.docx: markitdown, which reads a Word document, is not installed\n  → pip install 'ragkit[documents]'\n"
    )


# in an ingest


def test_the_rest_is_ingested(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.config.write_text(
        project.config.read_text().replace(', include: ["**/*.md"]', ", max_bytes: 20000000, max_pages: 100")
    )
    good = {"good.docx": DOCX, "good.pdf": pdf("A PDF."), "good.md": b"# Fine", "latin.txt": "Grüße aus Köln".encode("latin-1")}
    bad = {
        "bomb.docx": bomb(300_000_000), "cut.pdf": pdf(*"x" * 9)[:900], "empty.pdf": b"",
        "encrypted.pdf": encrypted(pdf("x"), "secret"), "laughs.docx": docx(paragraph("&a9;"), prolog=LAUGHS),
        "long.pdf": pdf(*"x" * 101), "zip.txt": DOCX,
    }  # fmt: skip
    for name, raw in (good | bad).items():
        (project.docs / name).write_bytes(raw)
    with (project.docs / "huge.txt").open("wb") as file:
        file.truncate(2_000_000_000)
    (project.docs / "loop.md").symlink_to("loop.md")
    (project.docs / "up").symlink_to("..")
    started = time.monotonic()
    report = project.ingest()
    assert report.exit_status == 3
    assert {failure.uri for failure in report.failures} == {*bad, "huge.txt"}
    assert all(failure.error and "Traceback" not in failure.error for failure in report.failures)
    assert report.documents["added"] == len(good)
    assert project.hits("Grüße aus Köln")[0] == "Grüße aus Köln"
    assert time.monotonic() - started < 60


def test_ten_thousand_pages() -> None:
    raw = pdf(*["x"] * 10_000)
    with pytest.raises(DocumentError, match=r"has 10,000 pages, more than max_pages \(5,000\)"):
        convert("a.pdf", raw)
