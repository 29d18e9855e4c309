"""From a source's listing to documents that changed: what is unchanged costs a look at its stamp."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from ragkit.components import Entry, ListsEntries
from ragkit.errors import DocumentError, DocumentGone, RagkitError, SourceError
from ragkit.state.documents import Known, NewDocument
from ragkit.state.hashing import canonical, digest, document_id

if TYPE_CHECKING:
    from llama_index.core.schema import Document, TransformComponent

_RESERVED = ("uri", "title", "source")


@dataclass(frozen=True)
class Reading:
    """What became of one listed document. `document` is there for `added` and `updated`, `error` for `failed`."""

    id: uuid.UUID
    uri: str
    outcome: Literal["added", "updated", "unchanged", "failed", "gone"]
    document: NewDocument | None = None
    error: str = ""
    touched: tuple[int, str | None] | None = None
    """For an unchanged document with a new stamp: its key and that stamp."""


@dataclass(frozen=True)
class NamedSource:
    """A built source under the name that identifies its documents. `category` is that of all of them, where it is given.

    What a source lists no more is removed where it `prunes`.
    """

    name: str
    source: Any
    category: str | None = None
    prunes: bool = True


@dataclass(frozen=True)
class CleaningStep:
    """A cleaner, and the categories of the documents that it cleans; None means all."""

    cleaner: TransformComponent
    categories: Sequence[str] | None = None


@dataclass(frozen=True)
class Cleaning:
    """The cleaners in order, with a fingerprint that changes when their result would."""

    steps: Sequence[CleaningStep]
    fingerprint: str


def entries(source: Any) -> Iterator[Entry]:
    """The listing of any source; documents of one that only iterates count as read."""
    if isinstance(source, ListsEntries):
        yield from source.entries()
        return
    for document in source:
        yield _entry_of(document)


def read(source: NamedSource, entry: Entry, known: Known | None, cleaning: Cleaning, *, rehash: bool) -> Reading:
    """Find out whether a listed document changed, and if so, convert and clean it. Never raises for the document's sake."""
    identity = document_id(source.name, entry.uri)
    recipe = digest(entry.version, cleaning.fingerprint, *([source.category] if source.category else []))
    same_recipe = known is not None and known.recipe == recipe
    if known and same_recipe and not rehash and entry.stamp is not None and entry.stamp == known.stamp:
        return Reading(identity, entry.uri, "unchanged")
    try:
        raw = entry.read()
        content_hash = digest(raw)
        if known and same_recipe and known.content_hash == content_hash:
            touched = (known.key, entry.stamp) if entry.stamp != known.stamp else None
            return Reading(identity, entry.uri, "unchanged", touched=touched)
        document = _clean(_filed(entry.convert(raw), source.category), cleaning)
    except DocumentGone:
        return Reading(identity, entry.uri, "gone")
    except Exception as error:  # noqa: BLE001 - converters meet any input; what they raise is this document's failure
        return Reading(identity, entry.uri, "failed", error=describe(error, entry.uri))
    metadata = {key: value for key, value in document.metadata.items() if key not in _RESERVED}
    new = NewDocument(
        id=identity,
        source=source.name,
        uri=entry.uri,
        text=document.get_content(),
        title=str(document.metadata.get("title") or ""),
        metadata=metadata,
        content_hash=content_hash,
        recipe=recipe,
        stamp=entry.stamp,
    )
    return Reading(identity, entry.uri, "updated" if known else "added", new)


def describe(error: Exception, uri: str = "") -> str:
    """An error in one line: ragkit's own with their cure, others with their type. What stands beside its `uri` omits that."""
    if not isinstance(error, RagkitError):
        return " ".join(f"{type(error).__name__}: {error}".split())
    message = error.message.removeprefix(f"{uri}: ")
    return " ".join((f"{message} → {error.cure}" if error.cure else message).split())


def _filed(document: Document, category: str | None) -> Document:
    """The document under the category that its source was given, if any."""
    if category is not None:
        document.metadata = {**document.metadata, "category": category}
    return document


def _clean(document: Document, cleaning: Cleaning) -> Document:
    category = document.metadata.get("category")
    documents: Sequence[Any] = [document]
    for step in cleaning.steps:
        if step.categories is None or category in step.categories:
            documents = step.cleaner(documents)
    if len(documents) != 1:
        raise DocumentError(f"the cleaners made {len(documents)} documents of one")
    return _valid(documents[0])


def _valid(document: Document) -> Document:
    """Text that the ledger can hold: lone surrogates become replacement characters."""
    text = document.get_content()
    try:
        text.encode()
    except UnicodeEncodeError:
        document.set_content(text.encode("utf-8", "replace").decode())
    return document


def _entry_of(document: Document) -> Entry:
    """A document that was already read, as an entry; its content is its text and its metadata."""
    uri = str(document.metadata.get("uri") or document.id_)
    if not uri:
        raise SourceError("a source gave a document without a URI", cure='set metadata["uri"] in the plugin')
    content = canonical([document.get_content(), document.metadata])
    return Entry(uri=uri, read=lambda: content.encode("utf-8", "surrogatepass"), convert=lambda raw: document)


def batches(items: Iterable[Entry], size: int) -> Iterator[list[Entry]]:
    """Lists of at most `size` entries; an error of the listing comes after what was listed before it."""
    batch: list[Entry] = []
    try:
        for item in items:
            batch.append(item)
            if len(batch) == size:
                yield batch
                batch = []
    except Exception:
        if batch:
            yield batch
        raise
    if batch:
        yield batch
