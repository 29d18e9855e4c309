"""Bringing a corpus up to date: taking texts out, putting texts in."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from ragkit_bm25.index import Corpus
from ragkit_bm25.numbers import Array, words


@dataclass(frozen=True)
class Text:
    """A text on its way into the index: the numbers of its terms in `Changes.vocabulary`, and the record kept with it."""

    numbers: bytes
    record: bytes


@dataclass
class Changes:
    """What waits to be merged. A million texts of 80 words wait in half a gigabyte, as their terms are numbers."""

    texts: dict[str, Text | None] = field(default_factory=dict)
    """By id: a text to put in, or None for one to take out."""
    vocabulary: dict[str, int] = field(default_factory=dict)

    def put(self, id_: str, terms: Iterable[str], record: bytes) -> None:
        """Put a text in, in place of the one with this id."""
        known = self.vocabulary
        self.texts[id_] = Text(array("i", [known.setdefault(term, len(known)) for term in terms]).tobytes(), record)


def empty() -> Corpus:
    """A corpus without texts."""
    return Corpus(words([]), words([]), np.zeros(0, dtype=np.int32), np.zeros(1, dtype=np.int64), [])


def merge(corpus: Corpus, changes: Changes) -> Corpus:
    """`corpus` without the ids in `changes`, and with those of them that have a text."""
    added = {id_.encode("utf-8", "surrogatepass"): text for id_, text in changes.texts.items() if text is not None}
    removed = {id_.encode("utf-8", "surrogatepass") for id_, text in changes.texts.items() if text is None}
    rows = {id_: row for row, id_ in enumerate(corpus.ids.tolist()) if id_ not in added and id_ not in removed}
    ids = sorted([*rows, *added])
    staying = np.zeros(len(corpus.ids), dtype=bool)
    staying[np.fromiter(rows.values(), dtype=np.int64, count=len(rows))] = True
    records = [added[id_].record if id_ in added else corpus.records[rows[id_]] for id_ in ids]
    new = np.fromiter((id_ in added for id_ in ids), dtype=bool, count=len(ids))
    del rows
    kept = corpus.tokens[np.repeat(staying, np.diff(corpus.starts))]
    fresh = np.frombuffer(b"".join([added[id_].numbers for id_ in ids if id_ in added]), dtype=np.int32)
    lengths = np.empty(len(ids), dtype=np.int64)
    lengths[~new] = np.diff(corpus.starts)[staying]
    lengths[new] = [len(added[id_].numbers) // fresh.itemsize for id_ in ids if id_ in added]
    terms, of_kept, of_fresh = _vocabulary(corpus.terms, kept, changes.vocabulary, fresh)
    # both in the order of the ids, as the corpus was; so each fills its places from the first to the last
    places = np.repeat(new, lengths)
    tokens = np.empty(len(places), dtype=np.int32)
    tokens[places] = of_fresh[fresh]
    tokens[~places] = of_kept[kept]
    return Corpus(words(ids), terms, tokens, np.concatenate(([0], np.cumsum(lengths))), records)


def _vocabulary(known: Array, kept: Array, vocabulary: Mapping[str, int], fresh: Array) -> tuple[Array, Array, Array]:
    """The sorted terms in use; the new number of each of `known` and of `vocabulary`, anything for those that are not in use."""
    used, wanted = np.zeros(len(known), dtype=bool), np.zeros(len(vocabulary), dtype=bool)
    used[kept] = True
    wanted[fresh] = True
    staying = known[used].tolist()
    coming = [term.encode("utf-8", "surrogatepass") for term in vocabulary]
    terms = sorted({*staying, *(term for term, is_wanted in zip(coming, wanted.tolist(), strict=True) if is_wanted)})
    number = {term: i for i, term in enumerate(terms)}
    of_kept = np.full(len(known), -1, dtype=np.int32)
    of_kept[used] = [number[term] for term in staying]
    return words(terms), of_kept, np.array([number.get(term, -1) for term in coming], dtype=np.int32)
