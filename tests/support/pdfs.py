"""PDF files for the tests of whatever reads them."""

from __future__ import annotations

import io

from pypdf import PdfReader, PdfWriter


def pdf(*texts: str, title: str | None = None, author: str | None = None) -> bytes:
    """A PDF with a page for each text."""
    from reportlab.pdfgen.canvas import Canvas

    buffer = io.BytesIO()
    canvas = Canvas(buffer)
    if title:
        canvas.setTitle(title)
    if author:
        canvas.setAuthor(author)
    for text in texts:
        canvas.drawString(72, 720, text)
        canvas.showPage()
    canvas.save()
    return buffer.getvalue()


def encrypted(raw: bytes, password: str) -> bytes:
    """The PDF behind a password; an empty one only forbids printing."""
    writer = PdfWriter(clone_from=PdfReader(io.BytesIO(raw)))
    writer.encrypt(user_password=password, owner_password="owner", algorithm="RC4-128")
    buffer = io.BytesIO()
    writer.write(buffer)
    return buffer.getvalue()
