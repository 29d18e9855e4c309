"""The bytes of an answer, unpacked piece by piece, so that none becomes larger than is allowed."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping

_GZIP = b"\x1f\x8b"
_AUTO_GZIP_OR_ZLIB = 47
_PIECE = 1 << 16


class BodyError(Exception):
    """The body cannot be taken; `cure` says what to do."""

    def __init__(self, reason: str, cure: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.cure = cure


def read_body(pieces: Iterable[bytes], headers: Mapping[str, str], max_bytes: int) -> bytes:
    """The body as it was before it was packed for the way. Raises `BodyError`."""
    packed = headers.get("content-encoding", "").strip().lower()
    length = headers.get("content-length", "")
    if length.isdecimal() and int(length) > max_bytes:
        raise _too_large(max_bytes)
    if packed in ("", "identity"):
        return _whole(pieces, max_bytes)
    if packed not in ("gzip", "x-gzip", "deflate"):
        raise BodyError(f"is packed as {packed[:50]!r}, which was not asked for")
    return _whole(_unpacked(pieces), max_bytes)


def gunzip(raw: bytes, max_bytes: int) -> bytes:
    """A file that may be packed with gzip, unpacked. Raises `BodyError`."""
    return _whole(_unpacked([raw]), max_bytes) if raw.startswith(_GZIP) else raw


def _whole(pieces: Iterable[bytes], max_bytes: int) -> bytes:
    body = bytearray()
    for piece in pieces:
        body += piece
        if len(body) > max_bytes:
            raise _too_large(max_bytes)
    return bytes(body)


def _unpacked(pieces: Iterable[bytes]) -> Iterable[bytes]:
    unpacker = zlib.decompressobj(_AUTO_GZIP_OR_ZLIB)
    began = False
    try:
        for piece in pieces:
            began = began or bool(piece)
            rest = piece
            while rest and not unpacker.eof:
                yield unpacker.decompress(rest, _PIECE)
                rest = unpacker.unconsumed_tail
    except zlib.error as error:
        raise BodyError(f"cannot be unpacked: {error}") from error
    if began and not unpacker.eof:
        raise BodyError("cannot be unpacked: its end is missing")


def _too_large(max_bytes: int) -> BodyError:
    return BodyError(
        f"has more than max_bytes ({max_bytes:,})", "raise `max_bytes` of the source, or leave it out with `exclude`"
    )
