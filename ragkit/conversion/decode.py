"""From bytes to text, whatever the encoding."""

from __future__ import annotations

import codecs
import re

BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark is a prefix of it
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_LEGACY = (
    "cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "koi8_r", "cp932", "euc_jp", "gb18030", "big5", "cp949",
)  # fmt: skip
_WEB_DEFAULT = "cp1252"
_SAMPLE_BYTES = 200_000
_HEAD_BYTES = 8_000
_CONTROL_SHARE = 0.1
_CONTROLS = re.compile("[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_NEWLINES = re.compile("\r\n|\r")
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


class BinaryError(ValueError):
    """The bytes are no text."""


def decode(raw: bytes, encoding: str | None = None, declared: str | None = None) -> str:
    r"""The text of `raw`, with `\n` at the end of lines and without NUL.

    `encoding` is taken at its word (`UnicodeError` if it is wrong); `declared` is what a page says of itself and is
    tried after a byte order mark and UTF-8. Raises `BinaryError` for what is no text.
    """
    text = raw.decode(encoding) if encoding else _guess(raw, declared)
    return storable(text.removeprefix("\ufeff"))


def storable(text: str) -> str:
    r"""The text with `\n` at the end of lines and without NUL and lone surrogates, which no database takes."""
    return _UNSTORABLE.sub("", _NEWLINES.sub("\n", text))


def _guess(raw: bytes, declared: str | None) -> str:
    for mark, name in BOMS:
        if raw.startswith(mark):
            return raw[len(mark) :].decode(name, "replace")
    if b"\0" in raw[:_HEAD_BYTES]:
        return _wide(raw)
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = raw.decode(_legacy(raw, declared), "replace")
    _refuse_controls(text[:_HEAD_BYTES])
    return text


def _wide(raw: bytes) -> str:
    """UTF-16 without a mark: for most scripts' spaces, digits and tags one byte of each pair is 0."""
    even, odd = raw[:_HEAD_BYTES:2].count(0), raw[1:_HEAD_BYTES:2].count(0)
    name = "utf-16-le" if odd > 10 * even else "utf-16-be" if even > 10 * odd else ""
    if not name or max(even, odd) * 10 < len(raw[:_HEAD_BYTES]):
        raise BinaryError("it has zero bytes")
    try:
        text = raw.decode(name)
    except UnicodeDecodeError as error:
        raise BinaryError("it has zero bytes") from error
    _refuse_controls(text[:_HEAD_BYTES])
    return text


def _legacy(raw: bytes, declared: str | None) -> str:
    """The likeliest legacy encoding; of equally likely ones Windows-1252, as browsers do (WHATWG, Encoding)."""
    if declared and _is_usable(declared, raw):
        return declared
    from charset_normalizer import from_bytes

    matches = list(from_bytes(raw[:_SAMPLE_BYTES], cp_isolation=list(_LEGACY)))
    if not matches:
        return _WEB_DEFAULT
    first = matches[0]
    for match in matches:
        if (match.chaos, match.coherence) == (first.chaos, first.coherence) and _WEB_DEFAULT in match.could_be_from_charset:
            return _WEB_DEFAULT
    return first.encoding


def _is_usable(declared: str, raw: bytes) -> bool:
    """Whether `raw` can be what its page says; that it is UTF-8 has been tried by now."""
    try:
        return codecs.lookup(declared).name != "utf-8" and bool(raw.decode(declared, "replace"))
    except (LookupError, ValueError):  # unknown, no encoding of text, or one of those that refuse to replace
        return False


def _refuse_controls(head: str) -> None:
    if len(_CONTROLS.findall(head)) > _CONTROL_SHARE * len(head):
        raise BinaryError("it is full of control characters")
