"""What the index holds of a chunk: its terms, its id, and its metadata as facts that filters look up.

A *fact* is a term that says what a key of the metadata is: `"year"2020`. Values are written as JSON; equal numbers (`1`, `1.0`)
are written alike, truth values are not, as they have no order. A value of more than `LONGEST_FACT` characters is written as
its hash, which serves equality alone.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from hashlib import blake2b
from typing import Any
from uuid import UUID
from zlib import crc32

import tantivy
from llama_index.core.schema import BaseNode, MetadataMode

from ragkit.analysis import Analyzer

SLOTS = 1 << 16
"""Every chunk has a number below this, made of its id: so all chunks can be gone through in parts of any size."""
LONGEST_FACT = 400
EVERY = "*"
"""The fact that every chunk has."""

_LOW = (1 << 64) - 1


@dataclass(frozen=True)
class Record:
    """A chunk as the index keeps it; `terms` are joined by blanks."""

    id: str
    document: str | None
    metadata: Mapping[str, Any]
    terms: str

    @classmethod
    def of(cls, node: BaseNode, analyzer: Analyzer) -> Record:
        """Read a node. What JSON has no type for is kept as text, dates as `isoformat()` has them."""
        terms = analyzer.terms(node.get_content(metadata_mode=MetadataMode.NONE))
        metadata = {key: value for key, value in node.metadata.items() if value is not None}
        return cls(node.node_id, node.ref_doc_id, json.loads(json.dumps(metadata, default=_text)), " ".join(terms))

    @classmethod
    def read(cls, document: tantivy.Document) -> Record:
        """The record behind a hit."""
        id_, its_document, metadata = json.loads(document.get_first("record") or b"")
        return cls(id_, its_document, metadata, document.get_first("body") or "")

    def document_of_index(self) -> tantivy.Document:
        """What tantivy takes."""
        made = tantivy.Document()
        made.add_text("id", token(self.id))
        if self.document is not None:
            made.add_text("document", token(self.document))
        made.add_text("body", self.terms)
        made.add_bytes("record", json.dumps([self.id, self.document, self.metadata]).encode())
        made.add_unsigned("slot", crc32(self.id.encode("utf-8", "surrogatepass")) % SLOTS)
        number = _uuid(self.id)
        if number is not None:
            made.add_unsigned("high", number >> 64)
            made.add_unsigned("low", number & _LOW)
        for fact in facts(self.metadata):
            made.add_text("facts", fact)
        return made


def schema() -> tantivy.Schema:
    """The fields of the index. `high` and `low` are the id where it is a UUID: columns are read faster than records."""
    builder = tantivy.SchemaBuilder()
    for name in ("id", "document", "facts"):
        builder.add_text_field(name, tokenizer_name="raw", index_option="basic")
    builder.add_text_field("body", stored=True, tokenizer_name="whitespace", index_option="freq")
    builder.add_bytes_field("record", stored=True)
    for name in ("slot", "high", "low"):
        builder.add_unsigned_field(name, fast=True)
    return builder.build()


def token(text: str) -> str:
    """A text as a term: any character, any length."""
    return _short(json.dumps(text))


def ids_of(searcher: tantivy.Searcher, addresses: Sequence[tantivy.DocAddress]) -> list[str]:
    """The ids of hits."""
    numbers = numbers_of(searcher, addresses)
    return [
        written(number) if number is not None else Record.read(searcher.doc(address)).id
        for number, address in zip(numbers, addresses, strict=True)
    ]


def numbers_of(searcher: tantivy.Searcher, addresses: Sequence[tantivy.DocAddress]) -> list[int | None]:
    """The ids of hits as the numbers of their UUIDs, None for one that is none. Their order is that of the ids."""
    given = list(addresses)
    columns = zip(searcher.fast_field_values("high", given), searcher.fast_field_values("low", given), strict=True)
    return [None if high is None or low is None else int(high) << 64 | int(low) for high, low in columns]


def written(number: int) -> str:
    """A UUID in its usual form."""
    digits = f"{number:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def facts(metadata: Mapping[str, Any]) -> Iterator[str]:
    """What the index knows of metadata: that a key is there, its value, and the members of a list."""
    yield EVERY
    for key, value in metadata.items():
        yield there(key)
        yield is_(key, value)
        for member in value if isinstance(value, list) else ():
            yield has(key, member)


def there(key: str) -> str:
    """The fact that a key has a value."""
    return f"?{token(key)}"


def is_(key: str, value: Any) -> str:
    """The fact that a key has this value."""
    return start_of(key) + _short(json.dumps(_alike(value), sort_keys=True))


def has(key: str, member: Any) -> str:
    """The fact that a key has a list with this member."""
    return f"@{is_(key, member)}"


def start_of(key: str) -> str:
    """How all facts of `is_` for a key begin, and no others."""
    return token(key)


def value_of(key: str, fact: str) -> Any:
    """The value in a fact of `is_`. Raises `ValueError` where the fact has its hash alone."""
    return json.loads(fact.removeprefix(start_of(key)))


def _short(written: str) -> str:
    return written if len(written) <= LONGEST_FACT else f"#{blake2b(written.encode(), digest_size=20).hexdigest()}"


def _alike(value: Any) -> Any:
    """`value` with the numbers in it written alike where they are equal."""
    if isinstance(value, float) and math.isfinite(value) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_alike(item) for item in value]
    if isinstance(value, dict):
        return {key: _alike(item) for key, item in value.items()}
    return value


def _text(value: Any) -> str:
    return value.isoformat() if isinstance(value, date) else str(value)


def _uuid(id_: str) -> int | None:
    """The number of an id that is a UUID in its usual form."""
    if len(id_) != 36:
        return None
    try:
        number = UUID(id_).int
    except ValueError:
        return None
    return number if written(number) == id_ else None
