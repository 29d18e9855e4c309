"""The cleaner `whitespace`."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Any

from ragkit.builtin.cleaners.base import TextCleaner
from ragkit.text import PAGE_BREAK

_NEWLINES = re.compile("\r\n|[\r\x0b\x85\u2028\u2029]")
_SPACES = re.compile("[\u00a0\u1680\u2000-\u200a\u202f\u205f]")
# Zero-width joiner and non-joiner (U+200C, U+200D) carry meaning in emoji and Persian, so they stay.
_NOTHING = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\u00ad\u200b\u2060\ufeff\ud800-\udfff]")
_ASCII: Mapping[int, str | None] = {
    **dict.fromkeys((*range(0x09), *range(0x0E, 0x20), 0x7F)), **dict.fromkeys(map(ord, "\r\x0b"), "\n")
}  # fmt: skip
_BLANK_LINES = re.compile("\n{4,}")


def clean(text: str) -> str:
    """`text` in Unicode NFC with plain spaces and newlines, no control characters but newline, tab and page break, no
    space at the end of a line, and never more than two blank lines in a row. Indentation stays as it is.
    """
    if text.isascii():  # most texts are, and most of what is looked for is not in them
        text = text.replace("\r\n", "\n").translate(_ASCII)
    else:
        text = unicodedata.normalize("NFC", _NOTHING.sub("", _SPACES.sub(" ", _NEWLINES.sub("\n", text))))
    return PAGE_BREAK.join(_strip_lines(page) for page in text.split(PAGE_BREAK))


def _strip_lines(page: str) -> str:
    # a regular expression for trailing space would take quadratic time on a long run of spaces inside a line
    return _BLANK_LINES.sub("\n\n\n", "\n".join(line.rstrip(" \t") for line in page.split("\n")))


class WhitespaceCleaner(TextCleaner):
    """The cleaner `whitespace`."""

    def cleaned(self, text: str, metadata: Mapping[str, Any]) -> str:
        """What `clean` makes of it."""
        return clean(text)
