"""From a text to its terms."""

from __future__ import annotations

import threading
import unicodedata
from functools import lru_cache
from itertools import chain

from ragkit.analysis.languages import snowball, stop_words

LONGEST_TERM = 64
"""Characters of a term; what is longer (data written in letters) is cut, as an index may keep terms at the longest's width."""


class Analyzer:
    """Cuts texts into terms; thread-safe. Texts and questions go through the same.

    `language` is a code of `ragkit.analysis.Language`; one without stemmer or stop words leaves words as they are.
    """

    def __init__(self, language: str) -> None:
        from ragkit.analysis import cutting  # takes 15 ms, for `regex`

        self._cutting = cutting
        self._language = language
        self._stop_words = stop_words(language)
        self._stemmer = snowball(language)
        self._lock = threading.Lock()
        # A word comes back often: what it becomes is kept, for as many words as a large collection has in common use.
        self._expanded = lru_cache(maxsize=100_000)(self._expand)

    def terms(self, text: str) -> list[str]:
        """The terms of `text` in order, repetitions included.

        An identifier gives itself and then its parts: `user.validate_email` gives `user.validate_email`, `user`,
        `validate_email`, `validate`, `email` (each stemmed). A version or decimal number stays whole. A run of Chinese, Japanese,
        Korean, Thai, Lao, Khmer or Burmese gives its pairs of neighbouring characters. A term has no white space.
        """
        text = unicodedata.normalize("NFKC", text)
        if self._language == "en":
            text = self._cutting.without_english_endings(text)
        return list(chain.from_iterable(map(self._expanded, self._cutting.tokens(text))))

    def _expand(self, token: str) -> tuple[str, ...]:
        if self._cutting.is_run(token):
            return tuple(self._cutting.pairs(token))
        folded = map(str.casefold, self._cutting.words(token))
        words = [word[:LONGEST_TERM] for word in folded if word not in self._stop_words]
        if self._stemmer is not None and words:
            with self._lock:  # a stemmer has a cache and no lock of its own
                words = self._stemmer.stemWords(words)
        return tuple(words)
