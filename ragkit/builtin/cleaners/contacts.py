"""The cleaner `contacts`: e-mail addresses and links."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pydantic import PrivateAttr

from ragkit.builtin.cleaners.base import TextCleaner, outside_code

if TYPE_CHECKING:
    from ragkit.builtin.cleaners import ContactsOptions

MASK = "[email]"

# `git@host:path` is the place of a repository, and no address of a person
_ADDRESS = r"(?<![\w.+%-])\w[\w.+%-]{0,63}@(?:[\w-]{1,63}\.){1,8}[^\W\d_]{2,24}(?![\w@-])(?!:[\w~/])"
_EMAIL = re.compile(rf" ?(?:<(?:mailto:)?{_ADDRESS}>|(?:\bmailto:)?{_ADDRESS})")
_MAIL_LINK = re.compile(r"\[([^\]\n]{0,500})\]\(mailto:[^)\s]{0,500}\)")
_TARGET = r"(?:<[^>\n]{0,2000}>|[^()\s]{0,2000}(?:\([^()\s]{0,500}\)[^()\s]{0,2000}){0,4})"
_LINK = re.compile(rf"!?\[([^\]\n]{{0,500}})\]\({_TARGET}(?:[ \t]+\"[^\"\n]{{0,500}}\")?\)")
_URL = re.compile(r" ?<?\b(?:(?:https?|ftp)://|www\.(?=\w))(?:[^\s<>\"'`()\[\]{}]|\([^\s()<>]{0,200}\))+>?")
_TRAILING = ".,;:!?"


class ContactsCleaner(TextCleaner):
    """Masks or removes e-mail addresses, in code and metadata too, and shortens or removes links outside of code."""

    _options: ContactsOptions = PrivateAttr()

    def __init__(self, options: ContactsOptions) -> None:
        super().__init__()
        self._options = options

    def cleaned(self, text: str, metadata: Mapping[str, Any]) -> str:
        """The text without what the options say."""
        text = self._without_addresses(text)
        return text if self._options.urls == "keep" else outside_code(text, metadata, self._without_links)

    def cleaned_metadata(self, metadata: Mapping[str, Any]) -> dict[str, Any]:
        """Titles and authors are read by people and models as the text is; the URI identifies the document."""
        return {key: value if key == "uri" else self._value(value) for key, value in metadata.items()}

    def _value(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._value(item) for item in value]
        return self._without_addresses(value).strip() if isinstance(value, str) and "@" in value else value

    def _without_addresses(self, text: str) -> str:
        if self._options.emails == "keep" or "@" not in text:
            return text
        mask = MASK if self._options.emails == "mask" else ""
        text = _MAIL_LINK.sub(r"\1", text)
        return _EMAIL.sub(lambda match: f" {mask}" if mask and match[0].startswith(" ") else mask, text)

    def _without_links(self, text: str) -> str:
        return _URL.sub(self._short, _LINK.sub(r"\1", text))

    def _short(self, match: re.Match[str]) -> str:
        """The host of a URL, or nothing; what follows it as punctuation stays."""
        url = match[0].strip(" <>")
        bare = url.rstrip(_TRAILING)
        rest = url[len(bare) :]
        if self._options.urls == "remove":
            return rest
        try:
            host = urlsplit(bare if "://" in bare else f"http://{bare}").hostname or ""
        except ValueError:
            host = ""
        return f"{' ' if match[0].startswith(' ') else ''}{host}{rest}"
