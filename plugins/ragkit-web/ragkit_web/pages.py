"""The pages that were taken, as they came: a file in which each is kept packed, with what is needed to ask whether it changed."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from ragkit.errors import DocumentError, SourceError

_SCHEMA = """
CREATE TABLE IF NOT EXISTS pages (
    url TEXT PRIMARY KEY,
    location TEXT NOT NULL DEFAULT '',
    type TEXT NOT NULL DEFAULT '',
    etag TEXT NOT NULL DEFAULT '',
    modified TEXT NOT NULL DEFAULT '',
    digest TEXT NOT NULL DEFAULT '',
    fetched REAL NOT NULL,
    checked REAL NOT NULL,
    body BLOB
) WITHOUT ROWID
"""
_FIELDS = "url, location, type, etag, modified, digest, fetched, checked"
_WAIT_S = 30.0


@dataclass(frozen=True)
class Page:
    """What is known of a page: where it was redirected to (`location`), or that its body is kept.

    `type` is the content type that came with it; `digest` changes when the body or the type does. `fetched` and `checked` are
    seconds since 1970: when the body came, and when the host last said that this is it.
    """

    url: str
    location: str = ""
    type: str = ""
    etag: str = ""
    modified: str = ""
    digest: str = ""
    fetched: float = 0.0
    checked: float = 0.0


class Pages:
    """The file of a source. Every call is durable when it returns; any thread may call."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "pages.sqlite"

    def get(self, url: str) -> Page | None:
        """What is known of `url`."""
        with self._open() as connection:
            row = connection.execute(f"SELECT {_FIELDS} FROM pages WHERE url = ?", (url,)).fetchone()
        return Page(*row) if row else None

    def body(self, url: str) -> bytes:
        """The bytes of a page. Raises `DocumentError` where they are gone."""
        try:
            with self._open() as connection:
                row = connection.execute("SELECT body FROM pages WHERE url = ?", (url,)).fetchone()
            if row and row[0] is not None:
                return zlib.decompress(row[0])
        except (SourceError, zlib.error) as error:
            raise DocumentError(f"{url}: its kept copy cannot be read", uri=url, cure=f"delete {self._path}") from error
        raise DocumentError(f"{url}: its kept copy is gone", uri=url, cure="run again")

    def put(self, page: Page, body: bytes) -> Page:
        """Keep a page that was fetched."""
        digest = sha256(page.type.encode() + b"\n" + body).hexdigest()
        kept = Page(page.url, "", page.type, page.etag, page.modified, digest, page.fetched, page.checked)
        self._write(kept, zlib.compress(body))
        return kept

    def redirect(self, url: str, location: str, now: float) -> None:
        """Remember where `url` leads."""
        self._write(Page(url, location, fetched=now, checked=now), None)

    def confirm(self, url: str, now: float) -> None:
        """Remember that `url` was still the same."""
        with self._open() as connection:
            connection.execute("UPDATE pages SET checked = ? WHERE url = ?", (now, url))

    def drop(self, url: str) -> None:
        """Forget a page."""
        with self._open() as connection:
            connection.execute("DELETE FROM pages WHERE url = ?", (url,))

    def taken(self) -> Sequence[str]:
        """The URLs of all pages whose body is kept, in order."""
        with self._open() as connection:
            return [url for (url,) in connection.execute("SELECT url FROM pages WHERE body IS NOT NULL ORDER BY url")]

    def keep_only(self, urls: Iterable[str]) -> None:
        """Forget all pages but these."""
        with self._open() as connection:
            connection.execute("CREATE TEMP TABLE wanted (url TEXT PRIMARY KEY) WITHOUT ROWID")
            connection.executemany("INSERT OR IGNORE INTO wanted VALUES (?)", ((url,) for url in urls))
            connection.execute("DELETE FROM pages WHERE url NOT IN (SELECT url FROM wanted)")

    def _write(self, page: Page, body: bytes | None) -> None:
        values = (
            page.url, page.location, page.type, page.etag, page.modified, page.digest, page.fetched, page.checked, body,
        )  # fmt: skip
        with self._open() as connection:
            connection.execute(f"INSERT OR REPLACE INTO pages ({_FIELDS}, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", values)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(sqlite3.connect(self._path, timeout=_WAIT_S)) as connection, connection:
                connection.execute(_SCHEMA)
                yield connection
        except sqlite3.Error as error:
            raise SourceError(
                f"the pages kept in {self._path} cannot be used: {error}",
                cure="see that the disk has room; if the file is broken, delete it, and every page is fetched again",
            ) from error
