"""What is known of each language: its Snowball stemmer and its stop words, by ISO 639-1 code."""

from __future__ import annotations

from importlib.resources import files
from typing import Any, Literal

Language = Literal[
    "none", "ar", "ca", "da", "de", "el", "en", "es", "eu", "fi", "fr", "ga", "hi", "hu", "hy", "id", "it", "ja", "ko", "lt",
    "ne", "nl", "no", "pt", "ro", "ru", "sr", "sv", "ta", "th", "tr", "yi", "zh",
]  # fmt: skip
"""What a keyword store's option `language` may be. Every script is cut the same way; a language adds stems and stop words."""

SNOWBALL = {
    "ar": "arabic", "ca": "catalan", "da": "danish", "de": "german", "el": "greek", "en": "english", "es": "spanish",
    "eu": "basque", "fi": "finnish", "fr": "french", "ga": "irish", "hi": "hindi", "hu": "hungarian", "hy": "armenian",
    "id": "indonesian", "it": "italian", "lt": "lithuanian", "ne": "nepali", "nl": "dutch", "no": "norwegian",
    "pt": "portuguese", "ro": "romanian", "ru": "russian", "sr": "serbian", "sv": "swedish", "ta": "tamil", "tr": "turkish",
    "yi": "yiddish",
}  # fmt: skip
"""Snowball's names of the languages that it stems."""


def snowball(language: str) -> Any:
    """A new Snowball stemmer for a language code, or None where there is none. Not to be shared between threads."""
    if language not in SNOWBALL:
        return None
    import Stemmer

    return Stemmer.Stemmer(SNOWBALL[language])


def stop_words(language: str) -> frozenset[str]:
    """The words of a language that carry no meaning of their own, in lower case; none where there is no list.

    The lists lie in `stopwords/`, one word to a line; the first lines name the source and its licence.
    """
    file = files("ragkit.analysis") / "stopwords" / f"{language}.txt"
    if not file.is_file():
        return frozenset()
    return frozenset(line for line in file.read_text("utf-8").splitlines() if not line.startswith("#"))
