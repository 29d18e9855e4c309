"""ZIP packages (Word, PowerPoint, Excel, EPUB), opened with care."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Mapping
from typing import TYPE_CHECKING
from xml.parsers import expat

from ragkit.conversion.decode import storable
from ragkit.conversion.formats import DOCX, EPUB, PDF, PPTX, XLSX
from ragkit.errors import DocumentError

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

ZIP_START = b"PK\x03\x04"
_OLE_START = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ENCRYPTED = "EncryptedPackage".encode("utf-16-le")
_MAIN_PARTS = {"word/document.xml": DOCX, "ppt/presentation.xml": PPTX, "xl/workbook.xml": XLSX}

_MAX_ENTRIES = 10_000
_MAX_DIRECTORY_BYTES = 4_000_000
_MAX_UNPACKED = 200_000_000
_MAX_GROWTH = 4
"""A package may unpack to 200 MB, or to 4 times its size: pictures, which make packages large, hardly grow."""
_MAX_RATIO = 250
_SMALL = 20_000_000
"""Up to this size nothing is said about the ratio: a table of equal rows packs well, too."""
_PROLOG_BYTES = 1_000_000

_DC = "{http://purl.org/dc/elements/1.1/}"
_TERMS = "{http://purl.org/dc/terms/}"


class _EntityError(Exception):
    """An XML part declares entities."""


def kind_of(uri: str, raw: bytes) -> str | None:
    """The format that the bytes show; None where they show none. Raises `DocumentError` for one that cannot be read."""
    if raw.startswith(b"%PDF-"):
        return PDF
    if raw.startswith(_OLE_START):
        if _ENCRYPTED in raw:
            raise DocumentError(f"{uri}: is encrypted and needs a password", uri=uri, cure="save it without a password")
        raise DocumentError(
            f"{uri}: is in the format of Office 97 to 2003", uri=uri, cure="save it as .docx, .pptx or .xlsx, or as PDF"
        )
    if not raw.startswith(ZIP_START):
        return None
    with open_package(uri, raw) as package:
        names = set(package.namelist())
        for part, kind in _MAIN_PARTS.items():
            if part in names:
                return kind
        return EPUB if "META-INF/container.xml" in names else None


def open_package(uri: str, raw: bytes) -> zipfile.ZipFile:
    """The package, after a look at its directory. Raises `DocumentError` for one that is broken, encrypted or a bomb."""
    if _directory_bytes(raw) > _MAX_DIRECTORY_BYTES:
        raise _bomb(uri, f"more than {_MAX_ENTRIES:,} entries")
    try:
        package = zipfile.ZipFile(io.BytesIO(raw))
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError) as error:
        raise DocumentError(f"{uri}: the package is broken or cut short: {error}", uri=uri, cure="copy it again") from error
    entries = package.infolist()
    unpacked = sum(entry.file_size for entry in entries)
    if len(entries) > _MAX_ENTRIES:
        raise _bomb(uri, f"{len(entries):,} entries, more than {_MAX_ENTRIES:,}")
    if unpacked > max(_MAX_UNPACKED, _MAX_GROWTH * len(raw)):
        raise _bomb(uri, f"{unpacked:,} bytes when it is unpacked")
    if unpacked > _SMALL and unpacked > _MAX_RATIO * len(raw):
        raise _bomb(uri, f"{unpacked:,} bytes when it is unpacked, {unpacked // len(raw):,} times its size")
    if any(entry.flag_bits & 1 for entry in entries):
        raise DocumentError(f"{uri}: is encrypted and needs a password", uri=uri, cure="save it without a password")
    return package


def check_xml(uri: str, package: zipfile.ZipFile) -> None:
    """Refuse a package whose XML declares entities (the billion laughs): no program that writes documents does."""
    for entry in package.infolist():
        if entry.filename.endswith((".xml", ".rels", ".vml")):
            with package.open(entry) as part:
                try:
                    _look_at_prolog(part.read(_PROLOG_BYTES))
                except _EntityError:
                    raise DocumentError(f"{uri}: its part {entry.filename} declares XML entities", uri=uri) from None


def parse(uri: str, package: zipfile.ZipFile, name: str) -> Element:
    """The root element of an XML part. Raises `DocumentError` for one that is missing or broken."""
    from xml.etree import ElementTree as ET

    try:
        raw = package.read(name)
        _look_at_prolog(raw)
        return ET.fromstring(raw)
    except (KeyError, ET.ParseError, ValueError, _EntityError, zipfile.BadZipFile) as error:
        raise DocumentError(f"{uri}: its part {name} is missing or broken", uri=uri) from error


def dublin_core(root: Element) -> Mapping[str, list[str]]:
    """What a part says in Dublin Core: the values of `title`, `creator`, `language`, `date`, `created`, `modified`."""
    found: dict[str, list[str]] = {}
    for element in root.iter():
        for prefix in (_DC, _TERMS):
            if isinstance(element.tag, str) and element.tag.startswith(prefix) and (element.text or "").strip():
                found.setdefault(element.tag.removeprefix(prefix), []).append(storable(" ".join(str(element.text).split())))
    return found


def _look_at_prolog(xml: bytes) -> None:
    """Parse up to the root element, and raise for the first entity that is declared before it."""
    seen: list[str] = []

    def declared(*_: object) -> None:
        raise _EntityError

    parser = expat.ParserCreate()
    parser.EntityDeclHandler = declared
    parser.StartElementHandler = lambda name, attributes: seen.append(name)
    try:
        for start in range(0, len(xml), 4_096):
            parser.Parse(xml[start : start + 4_096], False)
            if seen:
                return
    except expat.ExpatError:  # the converter will say so
        return


def _directory_bytes(raw: bytes) -> int:
    """How long the directory at the end says it is: zipfile reads all of it at once (APPNOTE.TXT, 4.3.16)."""
    at = raw.rfind(b"PK\x05\x06", max(0, len(raw) - 65_557))
    if at < 0 or at + 16 > len(raw):
        return 0
    return int(struct.unpack_from("<I", raw, at + 12)[0])


def _bomb(uri: str, what: str) -> DocumentError:
    return DocumentError(
        f"{uri}: looks like a ZIP bomb: it has {what}", uri=uri, cure="leave it out with `exclude` of the source"
    )
