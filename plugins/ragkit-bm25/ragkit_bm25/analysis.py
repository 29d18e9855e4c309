"""How a text becomes terms: folding, words and identifiers, character pairs, stop words, stemming."""

from __future__ import annotations

import threading
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from itertools import chain
from typing import Any

import regex

_SNOWBALL = {
    "ar": "arabic", "ca": "catalan", "da": "danish", "de": "german", "el": "greek", "en": "english", "es": "spanish",
    "et": "estonian", "eu": "basque", "fi": "finnish", "fr": "french", "ga": "irish", "hi": "hindi", "hu": "hungarian",
    "hy": "armenian", "id": "indonesian", "it": "italian", "lt": "lithuanian", "ne": "nepali", "nl": "dutch",
    "no": "norwegian", "pt": "portuguese", "ro": "romanian", "ru": "russian", "sr": "serbian", "sv": "swedish",
    "ta": "tamil", "tr": "turkish", "yi": "yiddish",
}  # fmt: skip
_STOP_WORDS = {
    "da": "DANISH", "de": "GERMAN", "en": "EN", "es": "SPANISH", "fr": "FRENCH", "it": "ITALIAN", "nl": "DUTCH",
    "no": "NORWEGIAN", "pt": "PORTUGUESE", "ru": "RUSSIAN", "sv": "SWEDISH", "tr": "TURKISH",
}  # fmt: skip

# Scripts that write no space between words (Korean does, but glues particles to them).
_PAIRED = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}ー々〆]"
_LETTER = rf"(?:(?!{_PAIRED})[\p{{L}}\p{{M}}\p{{N}}_])"
# A run of such a script, or a word, or words joined by single dots: `v1.2.3`, `app.include_router`.
_TOKEN = regex.compile(rf"{_PAIRED}+|{_LETTER}+(?:\.{_LETTER}+)*")
_RUN = regex.compile(_PAIRED)
_HAN = regex.compile(r"\p{Han}")
_ENGLISH_ENDING = regex.compile(r"(?<=\p{L})['’](?:s|t|d|m|ll|re|ve)\b", regex.IGNORECASE)
# The words of a name: `HTTPServer2` is HTTP and Server2, `validate_email` validate and email.
_WORD = regex.compile(r"\p{Lu}{2,}(?=\p{Lu}\p{Ll})|\p{Lu}?[\p{Ll}\p{Lo}\p{M}\p{N}]+|[\p{L}\p{M}\p{N}]+?(?=_|$)")
_NUMBER = regex.compile(r"v?\d+(?:\.\d+)*", regex.IGNORECASE)


# Characters of a term; what is longer (data written in letters) is cut, as the vocabulary is kept at its longest term's width.
_LONGEST = 64


class Analyzer:
    """Cuts texts into terms; thread-safe. Texts and questions go through the same."""

    def __init__(self, language: str) -> None:
        self._language = language
        self._stop_words = _stop_words(language)
        self._stemmer = snowball(language)
        self._lock = threading.Lock()
        # A word comes back often: what it becomes is kept, for as many words as a large collection has in common use.
        self._expanded = lru_cache(maxsize=100_000)(self._expand)

    def terms(self, text: str) -> list[str]:
        """The terms of `text` in order, repetitions included.

        An identifier gives itself and then its parts: `user.validate_email` gives `user.validate_email`, `user`,
        `validate_email`, `validate`, `email` (each stemmed). A version or decimal number stays whole.
        """
        text = unicodedata.normalize("NFKC", text)
        if self._language == "en":
            text = _ENGLISH_ENDING.sub("", text)
        return list(chain.from_iterable(map(self._expanded, _TOKEN.findall(text))))

    def _expand(self, token: str) -> tuple[str, ...]:
        if _RUN.match(token):
            return tuple(_pairs(token))
        words = [word[:_LONGEST] for word in map(str.casefold, _words(token)) if word not in self._stop_words]
        if self._stemmer is not None and words:
            with self._lock:  # a stemmer has a cache and no lock of its own
                words = self._stemmer.stemWords(words)
        return tuple(words)


def snowball(language: str) -> Any:
    """The Snowball stemmer for a language code, or None where there is none."""
    if language not in _SNOWBALL:
        return None
    import Stemmer

    return Stemmer.Stemmer(_SNOWBALL[language])


def _stop_words(language: str) -> frozenset[str]:
    name = _STOP_WORDS.get(language)
    if name is None:
        return frozenset()
    from bm25s import stopwords

    return frozenset(getattr(stopwords, f"STOPWORDS_{name}"))


def _pairs(run: str) -> Iterator[str]:
    """The overlapping pairs of characters of a run, and its Han characters alone: many of them are words."""
    if len(run) == 1:
        yield run
        return
    for start in range(len(run) - 1):
        yield run[start : start + 2]
    yield from _HAN.findall(run)


def _words(token: str) -> Iterator[str]:
    """A word as it is; an identifier whole, then its names, then their words."""
    if _NUMBER.fullmatch(token):
        yield token
        return
    names = token.split(".")
    if len(names) > 1:
        yield token
    for name in names:
        if not name.strip("_"):  # a rule or a blank drawn in underscores
            continue
        words = [name] if _NUMBER.fullmatch(name) else _WORD.findall(name)
        if len(words) != 1 or words[0] != name:
            yield name
        yield from words
