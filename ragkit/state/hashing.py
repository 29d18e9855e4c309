"""The hashes that decide whether something changed (BLAKE2b, 16 bytes, of unambiguously joined parts), and identities."""

from __future__ import annotations

import hashlib
import json
import uuid
from datetime import date
from typing import Any

_NAMESPACE = uuid.UUID("5b0d1f7e-6f0c-5d53-9a61-0e6f5d2b7c11")


def digest(*parts: bytes | str) -> bytes:
    """16 bytes that differ when any part differs; parts are length-prefixed, so that ("ab", "c") is not ("a", "bc")."""
    state = hashlib.blake2b(digest_size=16)
    for part in parts:
        data = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        state.update(len(data).to_bytes(8, "little"))
        state.update(data)
    return state.digest()


def input_key(text: str) -> bytes:
    """The key of what is embedded: a chunk's `input_hash`, and its vector's in the embedding cache."""
    return digest("text", text)


def canonical(value: Any) -> str:
    """JSON with sorted keys: equal values give equal text. Dates are written as ISO 8601 has them."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=_written)


def _written(value: Any) -> str:
    return value.isoformat() if isinstance(value, date) else str(value)


def fingerprint(value: Any) -> str:
    """32 hexadecimal digits that differ when the value differs."""
    return digest(canonical(value)).hex()


def document_id(source: str, uri: str) -> uuid.UUID:
    """The identity of a document: a UUIDv5 of its source's name and its URI."""
    return uuid.uuid5(_NAMESPACE, canonical([source, uri]))


def chunk_id(document: uuid.UUID, chunking: str, text: str, occurrence: int) -> uuid.UUID:
    """The identity of a chunk: document, chunker fingerprint, text, and which one among the document's equal texts."""
    return uuid.uuid5(document, f"{chunking}:{digest(text).hex()}:{occurrence}")


def parent_id(first: uuid.UUID) -> uuid.UUID:
    """The identity of what several chunks were cut from: made of that of the first of them, so that it stays while that stays."""
    return uuid.uuid5(first, "parent")


def id_text(raw: bytes) -> str:
    """An id as users see it, from its 16 bytes: what `str(uuid.UUID(bytes=raw))` gives, in a quarter of the time."""
    digits = raw.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def id_bytes(text: str) -> bytes | None:
    """The 16 bytes of an id, or None for a text that is no UUID."""
    try:
        raw = bytes.fromhex(text.replace("-", ""))
    except ValueError:
        return None
    return raw if len(raw) == 16 else None
