"""The cleaner `unicode`."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import PrivateAttr

from ragkit.builtin.cleaners.base import TextCleaner, outside_code

if TYPE_CHECKING:
    from ragkit.builtin.cleaners import UnicodeOptions

_LIGATURES = str.maketrans(
    {"\ufb00": "ff", "\ufb01": "fi", "\ufb02": "fl", "\ufb03": "ffi", "\ufb04": "ffl", "\ufb05": "st", "\ufb06": "st"}
)
_QUOTES = str.maketrans(dict.fromkeys("\u2018\u2019\u201a\u201b", "'") | dict.fromkeys("\u201c\u201d\u201e\u201f", '"'))
_SOFT_HYPHEN = re.compile("\u00ad(?:[ \t]*\n[ \t]*(?=\\w))?")


class UnicodeCleaner(TextCleaner):
    """Brings words into the form in which they are searched for; code stays as it is."""

    _options: UnicodeOptions = PrivateAttr()

    def __init__(self, options: UnicodeOptions) -> None:
        super().__init__()
        self._options = options

    def cleaned(self, text: str, metadata: Mapping[str, Any]) -> str:
        """The text in the normal form of the options."""
        return outside_code(text, metadata, self._formed)

    def _formed(self, text: str) -> str:
        if self._options.soft_hyphens:
            text = _SOFT_HYPHEN.sub("", text)
        if self._options.ligatures:
            text = text.translate(_LIGATURES)
        text = unicodedata.normalize(self._options.form, text)
        return text.translate(_QUOTES) if self._options.quotes else text
