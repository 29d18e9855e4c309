"""One BM25 index: what it holds, how it is built, how it scores. Immutable; a reader keeps the one that it began with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from bm25s import BM25, scoring

from ragkit_bm25.numbers import Array, highest, lookup, scorer

if TYPE_CHECKING:
    from ragkit_bm25 import BM25Options

_SCORED_ELSEWHERE = ("bm25l", "bm25+")
"""The methods in which a term scores a text that lacks it, too."""
_ENDLESS = 1e12
"""A term frequency at which the saturation of BM25 has reached its limit, to the last digit that matters."""
_AT_ONCE = 4_000_000
"""So many occurrences are worked on at once, which bounds the memory: each takes some 50 bytes meanwhile."""


@dataclass(frozen=True)
class Corpus:
    """Tokenised texts. `ids` (n) and `terms` (v) are sorted byte strings; text i is `tokens[starts[i]:starts[i + 1]]`."""

    ids: Array
    terms: Array
    tokens: Array
    starts: Array
    records: Sequence[bytes]
    """For each text, JSON: `[document id, metadata]`."""


@dataclass(frozen=True)
class Index:
    """A corpus with the score of every term in every text that has it, by term (compressed sparse columns).

    Term t occurs in the texts `indices[indptr[t]:indptr[t + 1]]` with the scores `data[…]`, all in the order of `ids`.
    """

    corpus: Corpus
    data: Array
    indices: Array
    indptr: Array
    elsewhere: Array | None = None
    """The score of each term in texts that lack it, for the methods where it has one; `data` is what comes on top."""

    def __len__(self) -> int:
        return len(self.corpus.ids)

    def rows(self, ids: Sequence[str]) -> Array:
        """Where `ids` stand, -1 for those that are not here."""
        return lookup(self.corpus.ids, ids)

    def term_ids(self, terms: Sequence[str]) -> Array:
        """The known ones of `terms`, repetitions included, as numbers."""
        found = lookup(self.corpus.terms, terms)
        return found[found >= 0].astype(np.int32)

    def scores(self, terms: Sequence[str]) -> Array:
        """The score of every text, float32 (n); 0 where no term occurs."""
        numbers = self.term_ids(terms)
        score = scorer(len(self)) or BM25._compute_relevance_from_scores
        total = score(self.data, self.indptr, self.indices, len(self), numbers, np.dtype("float32"))
        return self._with_elsewhere(total, numbers)

    def scores_of(self, terms: Sequence[str], rows: Array) -> Array:
        """The score of each of the texts `rows` (-1 scores 0), equal to the bit to what `scores` gives."""
        total = np.zeros(len(rows), dtype=np.float32)
        numbers = self.term_ids(terms)
        for number in numbers:
            start, end = self.indptr[number], self.indptr[number + 1]
            having = self.indices[start:end]
            places = np.searchsorted(having, rows.astype(having.dtype))
            places[places == len(having)] = 0
            hit = having[places] == rows
            total[hit] += self.data[start + places[hit]]
        return self._with_elsewhere(total, numbers)

    def frequencies(self, terms: Sequence[str]) -> Array:
        """In how many texts each of `terms` occurs."""
        numbers = lookup(self.corpus.terms, terms)
        counts = np.zeros(len(numbers), dtype=np.int64)
        known = numbers >= 0
        counts[known] = self.indptr[numbers[known] + 1] - self.indptr[numbers[known]]
        return counts

    def bound(self, terms: Sequence[str], options: BM25Options) -> float:
        """The sum over `terms` of what each can add at most, however often a text has it."""
        saturation = scoring._select_tfc_scorer(options.method)
        most = float(saturation(tf_array=_ENDLESS, l_d=1, l_avg=1, k1=options.k1, b=options.b, delta=options.delta))
        frequencies = self.frequencies(terms)
        return most * float(_idf(frequencies, max(len(self), 1), options.method).sum()) if len(frequencies) else 0.0

    def _with_elsewhere(self, total: Array, numbers: Array) -> Array:
        if self.elsewhere is not None:
            total[total > 0] += self.elsewhere[numbers].sum(dtype=np.float32)
        return total


def best(scores: Array, k: int, passes: Callable[[int], bool] | None = None) -> Array:
    """The rows of the `k` highest scores above 0 that `passes` lets through, best first; ties in the order of the rows."""
    found = highest(scores, k) if passes is None else None
    if found is not None:
        return found[np.lexsort((found, -scores[found]))]
    rows = np.flatnonzero(scores > 0)
    if passes is None and len(rows) > k > 0:
        values = scores[rows]
        rows = rows[values >= np.partition(values, len(rows) - k)[len(rows) - k]]
    rows = rows[np.argsort(-scores[rows], kind="stable")]
    if passes is None:
        return rows[: max(k, 0)]
    kept: list[int] = []
    for row in rows.tolist():
        if len(kept) >= k:
            break
        if passes(row):
            kept.append(row)
    return np.array(kept, dtype=np.int64)


def build(corpus: Corpus, options: BM25Options) -> Index:
    """Score every term in every text, with bm25s' formulas on whole arrays instead of text by text."""
    count, vocabulary = len(corpus.ids), len(corpus.terms)
    if count == 0 or len(corpus.tokens) == 0:
        none = np.zeros(0, dtype=np.int32)
        return Index(corpus, none.astype(np.float32), none, np.zeros(vocabulary + 1, dtype=np.int64))
    lengths = np.diff(corpus.starts)
    shape: dict[str, Any] = {"l_avg": lengths.mean(), "k1": options.k1, "b": options.b, "delta": options.delta}
    saturation = scoring._select_tfc_scorer(options.method)
    texts, repeats, frequencies = _occurrences(corpus, vocabulary)
    idf = _idf(frequencies, count, options.method)
    elsewhere = None
    if options.method in _SCORED_ELSEWHERE:
        elsewhere = (idf * saturation(tf_array=0, l_d=lengths.mean(), **shape)).astype(np.float32)
    indptr = np.concatenate(([0], np.cumsum(frequencies)))
    data = repeats.view(np.float32)  # in place: each number is read before it is written
    for first, last in _pieces(frequencies):
        part = slice(int(indptr[first]), int(indptr[last]))
        terms = np.repeat(np.arange(first, last), frequencies[first:last])
        scores = idf[terms] * saturation(tf_array=repeats[part].astype(np.float32), l_d=lengths[texts[part]], **shape)
        data[part] = scores if elsewhere is None else scores - elsewhere[terms]
    return Index(corpus, data, texts, indptr.astype(np.int64), elsewhere)


def _occurrences(corpus: Corpus, vocabulary: int) -> tuple[Array, Array, Array]:
    """The text and the number of repetitions (both int32) of every term in every text that has it, by term, then by text;
    and in how many texts each term occurs."""
    count, tokens = len(corpus.ids), corpus.tokens
    # of the final size, if no term came twice in a text; memory that is never written to costs nothing
    texts, repeats = np.empty(len(tokens), dtype=np.int32), np.empty(len(tokens), dtype=np.int32)
    frequencies = np.zeros(vocabulary, dtype=np.int64)
    end = 0
    for first, last in _pieces(np.bincount(tokens, minlength=vocabulary)):
        where = np.flatnonzero((tokens >= first) & (tokens < last))
        # One sorted number for each (term, text), so that equal ones are neighbours and counting them gives the repetitions.
        pairs = (tokens[where] - first).astype(np.int64) * count + (np.searchsorted(corpus.starts, where, side="right") - 1)
        pairs.sort()
        begin = np.flatnonzero(np.concatenate(([True], pairs[1:] != pairs[:-1])))
        part = slice(end, end := end + len(begin))
        repeats[part] = np.diff(np.append(begin, len(pairs)))
        terms, texts[part] = np.divmod(pairs[begin], count)
        frequencies[first:last] = np.bincount(terms, minlength=last - first)
    return texts[:end], repeats[:end], frequencies


def _pieces(sizes: Array) -> Iterator[tuple[int, int]]:
    """Ranges of terms with about `_AT_ONCE` occurrences, or one term that has more."""
    ends = np.cumsum(sizes)
    first = 0
    while first < len(sizes):
        done = ends[first - 1] if first else 0
        last = max(int(np.searchsorted(ends, done + _AT_ONCE, side="right")), first + 1)
        yield first, last
        first = last


def _idf(frequencies: Array, count: int, method: str) -> Array:
    formula = scoring._select_idf_scorer(method)
    distinct, where = np.unique(frequencies, return_inverse=True)
    return np.array([formula(int(df), N=count) if df else 0.0 for df in distinct])[where]
