"""What LlamaIndex's types cannot say: small optional protocols.

A component may offer any of them. The host looks for each with `isinstance` and falls back to LlamaIndex's own
methods where it is missing; what is lost by that stands in the trace.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from llama_index.core.schema import BaseNode, Document, NodeWithScore, QueryBundle
    from llama_index.core.vector_stores.types import MetadataFilters, VectorStoreQuery

Hits = tuple[list[str], list[float]]
"""Chunk ids and their scores, best first, of equal length."""


# Sources


@dataclass(frozen=True)
class Entry:
    """One document in a source's listing, not read yet.

    `uri` names it within its source: a POSIX path relative to the root, a URL, or `file#id`. `stamp` is a cheap token
    that changes when the content does (size, modification time and inode of a file), or None where there is none.
    `read()` fetches the raw bytes, `convert(raw)` makes the document; both may raise `DocumentError`, or
    `DocumentGone`. `version` names the converter, its version and its options: another one converts anew.
    """

    uri: str
    read: Callable[[], bytes]
    convert: Callable[[bytes], Document]
    stamp: str | None = None
    version: str = "1"


@runtime_checkable
class ListsEntries(Protocol):
    """A source that lists first and reads later, so that what is unchanged costs a look at its stamp."""

    def entries(self) -> Iterator[Entry]:
        """List everything, lazily. Ending without an error claims that the listing is complete."""


@runtime_checkable
class KeepsUploads(Protocol):
    """A source of files that people hand over: the one called `uploads`. A file's URI is its name without folders."""

    def keep(self, name: str, raw: bytes) -> Entry:
        """Keep a file durably, in place of one of that name.

        Raises `DocumentError` for one that is refused or cannot be read; nothing is changed then.
        """

    def has(self, name: str) -> bool:
        """Whether there is a file of that name."""

    def mark_gone(self, uri: str) -> Entry:
        """Take a file back: what it gives from now on is `DocumentGone`."""

    def forget(self, uri: str) -> None:
        """Remove what is left of a file that was taken back, when the index has nothing of it any more."""


# Embeddings


@runtime_checkable
class Tokenizer(Protocol):
    """Counts tokens as an embedding model does."""

    @property
    def max_tokens(self) -> int | None:
        """How many tokens the model reads, special tokens included; None means no limit."""

    @property
    def special_tokens(self) -> int:
        """How many tokens the model adds to every text (separators, a prompt)."""

    @property
    def fingerprint(self) -> str:
        """Equal for tokenizers that cut every text alike."""

    def offsets(self, text: str) -> Sequence[tuple[int, int]]:
        """The character span of each token of `text` in order, without special tokens."""

    def count(self, texts: Sequence[str]) -> list[int]:
        """The number of tokens of each text, without special tokens."""


@runtime_checkable
class EmbedsQueries(Protocol):
    """An embedding that reads several questions at once; without it they are embedded one after another."""

    def query_embeddings(self, queries: Sequence[str]) -> Sequence[Sequence[float]]:
        """The vector of each question, in their order."""


# Stores


@runtime_checkable
class SearchesIds(Protocol):
    """A store that answers with ids and scores, without building nodes.

    Vector stores score with the similarity of their metric, more is more alike: the cosine for `cosine`, the inner product
    for `dot`, the negative squared Euclidean distance for `l2`. Keyword stores score with their raw score, above 0.
    """

    def search_ids(self, query: VectorStoreQuery) -> Hits: ...


@runtime_checkable
class TellsFilters(Protocol):
    """A store that evaluates some filters itself and others by looking at a bounded number of candidates, one by one."""

    def evaluates(self, filters: MetadataFilters) -> bool:
        """Whether the store's own engine evaluates all of `filters`; where not, the trace says so."""


@runtime_checkable
class ReturnsVectors(Protocol):
    """A vector store that returns what it holds."""

    def vectors(self, ids: Sequence[str]) -> Mapping[str, Sequence[float]]:
        """The vectors of those of `ids` that are there."""


@runtime_checkable
class ListsIds(Protocol):
    """A store that can enumerate its ids; verifying and repairing need it."""

    def ids(self) -> Iterator[str]: ...


@runtime_checkable
class Counts(Protocol):
    """A store that knows how many chunks it holds."""

    def count(self) -> int: ...


@runtime_checkable
class Upserts(Protocol):
    """A store whose `upsert` replaces what has the same id. Without it ragkit deletes before it adds."""

    def upsert(self, nodes: Sequence[BaseNode]) -> None: ...


@runtime_checkable
class Flushes(Protocol):
    """A store whose writes become durable and visible with `flush`. Without it every call is taken to be durable.

    A store that is rebuilt as a whole (bm25s) does so here; it then declares the capability `incremental: False`
    and is flushed once at the end instead of after every batch.
    """

    def flush(self) -> None: ...


@runtime_checkable
class Drops(Protocol):
    """A store that can remove its collection with everything in it."""

    def drop(self) -> None: ...


@runtime_checkable
class Marks(Protocol):
    """A store that keeps a few strings with its collection: whose it is, and how far it has come.

    A store whose data lies in `BuildContext.folder` needs none: the host keeps the mark beside it.
    """

    def marker(self) -> Mapping[str, str] | None:
        """What `mark` wrote last, or None for a collection that ragkit did not make."""

    def mark(self, values: Mapping[str, str]) -> None: ...


@runtime_checkable
class ScoresIds(Protocol):
    """A keyword store that can score given chunks: the true score of every candidate, 0 where no term matches."""

    def score_ids(self, query: str, ids: Sequence[str]) -> list[float]: ...


@runtime_checkable
class WeighsTerms(Protocol):
    """A keyword store that tells how it reads a text and how rare each term is."""

    def terms(self, text: str) -> list[str]:
        """The terms of `text`, after splitting, folding, stop words and stemming."""

    def idf(self, terms: Sequence[str]) -> list[float]:
        """The inverse document frequency of each term; a term that no chunk has weighs the most."""


# Retrievers


@runtime_checkable
class Leg(Protocol):
    """A retriever that hands over ids and scores, so that texts are fetched only for what is left in the end.

    It records itself in the trace: `search` and `score` enter the stage called `name` of the query's run and tell it their
    hits and scores. An attribute `floor` may say which score is the lowest possible (0 for BM25); normalisers use it. A leg with
    an attribute `waits` that is true spends its time waiting for another machine, and is asked in a thread of its own.
    """

    @property
    def name(self) -> str:
        """Unique among the legs of a retriever; the stage of the trace, and the key in `scores` and `ranks`."""

    def search(self, query: QueryBundle, k: int, filters: MetadataFilters | None = None) -> Hits:
        """The best `k`, best first."""

    def score(self, query: QueryBundle, ids: Sequence[str]) -> list[float] | None:
        """The true score of each of `ids`, NaN for one that the leg does not hold; None where it can score none by id."""


@runtime_checkable
class Bounded(Protocol):
    """A leg that knows between which scores any chunk must lie for a question."""

    def bounds(self, query: QueryBundle) -> tuple[float, float] | None:
        """The lowest and the highest possible score, such as -1 and 1 for a cosine; None where one of them cannot be told."""


@runtime_checkable
class BoundsScores(Protocol):
    """A keyword store that knows the highest score that a chunk could get; the lowest is 0."""

    def highest_score(self, query: str) -> float: ...


@runtime_checkable
class Presents(Protocol):
    """A retriever that hands out something else than the chunks that it finds, such as wider passages around them.

    What nests a retriever should pass the nodes of its own hits through it.
    """

    def present(self, query: QueryBundle, nodes: Sequence[NodeWithScore]) -> list[NodeWithScore]:
        """What is handed out for `nodes`, the found chunks best first; the nodes themselves stay as they are."""
