"""Bringing a corpus up to date: taking texts out, putting texts in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ragkit_bm25.index import Corpus
from ragkit_bm25.numbers import Array, words


@dataclass(frozen=True)
class Text:
    """A text on its way into the index: its terms in order, and the record that is kept with it."""

    terms: Sequence[str]
    record: bytes


def empty() -> Corpus:
    """A corpus without texts."""
    return Corpus(words([]), words([]), np.zeros(0, dtype=np.int32), np.zeros(1, dtype=np.int64), [])


def merge(corpus: Corpus, changes: Mapping[str, Text | None]) -> Corpus:
    """`corpus` without the ids in `changes`, and with those of them that have a text."""
    changed = {id_.encode("utf-8", "surrogatepass"): text for id_, text in changes.items()}
    rows = {id_: row for row, id_ in enumerate(corpus.ids.tolist()) if id_ not in changed}
    added = {id_: text for id_, text in changed.items() if text is not None}
    ids = sorted([*rows, *added])
    terms, old, new = _vocabulary(corpus, list(rows.values()), added)
    pieces: list[Array] = []
    records: list[bytes] = []
    for id_ in ids:
        text = added.get(id_)
        if text is None:
            row = rows[id_]
            pieces.append(old[corpus.tokens[corpus.starts[row] : corpus.starts[row + 1]]])
            records.append(corpus.records[row])
        else:
            pieces.append(np.array([new[term] for term in text.terms], dtype=np.int32))
            records.append(text.record)
    starts = np.zeros(len(ids) + 1, dtype=np.int64)
    np.cumsum([len(piece) for piece in pieces], out=starts[1:])
    tokens = np.concatenate(pieces) if pieces else np.zeros(0, dtype=np.int32)
    return Corpus(words(ids), terms, tokens, starts, records)


def _vocabulary(corpus: Corpus, rows: list[int], added: Mapping[bytes, Text]) -> tuple[Array, Array, dict[str, int]]:
    """The sorted terms that are still or newly in use, the new number of each old one (-1: gone), and that of each new one."""
    used = np.zeros(len(corpus.terms), dtype=bool)
    lengths = np.diff(corpus.starts)
    staying = np.zeros(len(lengths), dtype=bool)
    staying[rows] = True
    used[corpus.tokens[np.repeat(staying, lengths)]] = True
    kept = corpus.terms[used].tolist()
    fresh = {term: term.encode("utf-8", "surrogatepass") for text in added.values() for term in text.terms}
    terms = sorted({*kept, *fresh.values()})
    number = {term: i for i, term in enumerate(terms)}
    old = np.full(len(corpus.terms), -1, dtype=np.int32)
    old[used] = [number[term] for term in kept]
    return words(terms), old, {term: number[encoded] for term, encoded in fresh.items()}
