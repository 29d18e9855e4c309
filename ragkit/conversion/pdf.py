"""The text of PDF files."""

from __future__ import annotations

import io
import logging
import re
from typing import Any

from pypdf import PasswordType, PdfReader
from pypdf.errors import DependencyError, PyPdfError

from ragkit.conversion.convert import Content
from ragkit.conversion.pdf_tables import with_tables
from ragkit.errors import DocumentError
from ragkit.text import PAGE_BREAK

_HEADER_BYTES = 1024
_TRAILER_BYTES = 2048
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_NO_TITLE = re.compile(
    r"\s*(?:untitled.*|\(?anonymous\)?|microsoft (?:word|powerpoint) - .*|.*\.(?:docx?|pptx?|indd|tex|dvi|qxd))\s*", re.IGNORECASE
)


def read_pdf(uri: str, raw: bytes, max_pages: int) -> Content:
    """The pages' text with Markdown tables, a page break between them. The title is that of the file's metadata.

    Raises `DocumentError` for a file that is encrypted, cut short, broken, without text, or has more than `max_pages`.
    """

    def failure(reason: str, cure: str = "") -> DocumentError:
        return DocumentError(f"{uri}: {reason}", uri=uri, cure=cure)

    if b"%PDF-" not in raw[:_HEADER_BYTES]:
        raise failure("is not a PDF", "leave it out with `exclude` of the source")
    if b"%%EOF" not in raw.rstrip(b"\0\r\n\t ")[-_TRAILER_BYTES:]:
        raise failure("the PDF is cut short: its end is missing", "copy it again")
    # pypdf logs every oddity of a file; what matters comes as an error
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    try:
        reader = PdfReader(io.BytesIO(raw))
        if reader.is_encrypted and reader.decrypt("") == PasswordType.NOT_DECRYPTED:
            raise failure("the PDF is encrypted and needs a password", "save it without a password")
        count = len(reader.pages)
        if count > max_pages:
            raise failure(f"has {count:,} pages, more than max_pages ({max_pages:,})", "raise `max_pages` of the source")
        texts = [with_tables(page, page.extract_text().strip()) for page in reader.pages]
        title, metadata = _metadata(reader)
    except DocumentError:
        raise
    except DependencyError as error:
        raise failure("the PDF is encrypted with AES", "pip install 'pypdf[crypto]'") from error
    except (PyPdfError, RecursionError, MemoryError) as error:
        raise failure(f"the PDF is broken: {error}") from error
    except Exception as error:  # on broken files pypdf raises whatever its parser stumbles over: KeyError, ValueError…
        raise failure(f"the PDF is broken: {type(error).__name__}: {error}") from error
    if not any(texts):
        raise failure(f"the PDF has no text in its {count} pages", "it is probably scanned: run OCR (ocrmypdf) over it")
    # lines around the break, because tokenizers drop it and would join the words beside it
    text = f"\n{PAGE_BREAK}\n".join(_UNSTORABLE.sub("", page.replace(PAGE_BREAK, "\n")) for page in texts)
    return Content(text, "text", title, {"pages": count, **metadata})


def _metadata(reader: PdfReader) -> tuple[str, dict[str, Any]]:
    found = {"language": _plain(reader.root_object.get("/Lang"))}
    info = reader.metadata
    if info is None:
        return "", {key: value for key, value in found.items() if value}
    title = _plain(info.title)
    author = _plain(info.author)
    found["author"] = "" if _NO_TITLE.fullmatch(author) else author
    try:
        created = info.creation_date
    except ValueError:  # a date in no known form
        created = None
    if created:
        found["date"] = created.date().isoformat()
    return "" if _NO_TITLE.fullmatch(title) else title, {key: value for key, value in found.items() if value}


def _plain(value: Any) -> str:
    return _UNSTORABLE.sub("", " ".join(str(value).split())) if value else ""
