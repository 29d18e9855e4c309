"""What PostgreSQL's errors mean, and what to do about them."""

from __future__ import annotations

import psycopg
from sqlalchemy.exc import TimeoutError as NoConnectionError

from ragkit.errors import ComponentError
from ragkit.stores import Fault, unreachable

NAME = "pgvector"
EXTENSION_CURE = (
    "let a superuser run `CREATE EXTENSION vector` in this database; where the server does not have it, install it first "
    "(Debian and Ubuntu: `postgresql-16-pgvector` for server 16; images: `pgvector/pgvector`)"
)

_GONE = (
    "does not have the collection any more",
    "it was deleted behind ragkit's back: run `ragkit views repair`, which builds it anew",
)
_LATER = "run again: what was written is kept"
_LIMITS = "a vector has at most 16,000 finite numbers, an id 2,700 bytes and no U+0000, a row 1 GB"
_ADDRESS = "correct user and password in `vector_store`"
_MEANINGS = {
    "22P05": ("cannot keep a character", "make the database anew with the encoding UTF8"),
    "25006": ("is read-only", "name the primary server in `vector_store`"),
    "28000": ("refuses the login", _ADDRESS),
    "28P01": ("refuses the password", _ADDRESS),
    "3D000": ("does not have the database", "create it with `createdb`, or correct its name in `vector_store`"),
    "3F000": ("does not have the schema", "create it, or correct `schema_name`"),
    "40001": ("was interrupted by another writer", _LATER),
    "40P01": ("was interrupted by another writer", _LATER),
    "42501": ("does not allow it", "GRANT the role what it lacks, or log in with another `user`"),
    "42703": ("has a table of that name that is not ragkit's", "move it away, or name another `schema_name`"),
    "42704": ("does not have the extension `vector`", EXTENSION_CURE),
    "42883": ("does not have the extension `vector`, or an old one", EXTENSION_CURE),
    "42P01": _GONE,
    "42P07": ("has a relation of that name already", "move it away, or name another `schema_name`"),
    "53100": ("has no room left", f"make room on the server's disk, then {_LATER}"),
    "53200": ("has no memory left", f"give the server more memory, then {_LATER}"),
    "53300": ("has no connection left", "raise `max_connections` of the server, or lower `pool`"),
    "54000": ("refuses a value that is too large", _LIMITS),
    "55P03": ("waits for another process", _LATER),
    "57014": ("took too long", "raise `timeout`, or look at what else the server does"),
    "57P03": ("is not ready", f"wait until the server has started, then {_LATER}"),
}
"""By SQLSTATE: https://www.postgresql.org/docs/current/errcodes-appendix.html."""
_OF_DATA = ("refuses a value", _LIMITS)
_OTHER = ("failed", "look at the server's log")
_AGAIN = ("40001", "40P01", "53300", "57P03")
_LOST = ("57P01", "57P02", "57P05")
"""The server ended the connection."""
_LOGIN = (
    ("password", "28P01"), ("pg_hba.conf", "28000"), ("permission denied", "42501"), ("starting up", "57P03"),
    ("shutting down", "57P03"), ("too many", "53300"), ("connection slots", "53300"), ("role ", "28000"), ("database ", "3D000"),
)  # fmt: skip
"""A login that is refused comes without a SQLSTATE: it is told by the server's words."""


def judge(error: Exception, address: str) -> Fault | None:
    """What an exception of psycopg or of the pool means; None for what is no fault of the server or its data."""
    if isinstance(error, NoConnectionError):
        cure = "raise `pool`, or `timeout`"
        return Fault(ComponentError(f"{NAME} at {address}: all connections of this process are busy", component=NAME, cure=cure))
    if isinstance(error, UnicodeEncodeError):
        cure = "an id with half of a surrogate pair cannot be written as UTF-8: rename the document"
        return Fault(ComponentError(f"{NAME} at {address} cannot keep an id: {error.reason}", component=NAME, cure=cure))
    if not isinstance(error, psycopg.Error):
        return None
    state = error.sqlstate or _state_of_login(error)
    said = _said(error)
    lost = state in _LOST or (state is None and isinstance(error, psycopg.OperationalError | psycopg.InterfaceError))
    if lost or (state or "").startswith("08"):
        fault = unreachable(NAME, address, said)
        return Fault(fault.error)  # told at once: whoever waits at a terminal repeats it when the server is back
    meaning, cure = _MEANINGS.get(state or "", _OF_DATA if isinstance(error, psycopg.DataError) else _OTHER)
    return Fault(ComponentError(f"{NAME} at {address} {meaning}: {said}", component=NAME, cure=cure), again=state in _AGAIN)


def _said(error: psycopg.Error) -> str:
    """The server's own words on one line, without the statement."""
    said = error.diag.message_primary or str(error)
    detail = f" ({error.diag.message_detail})" if error.diag.message_detail else ""
    return " ".join(f"{said}{detail}".split())[:300]


def _state_of_login(error: psycopg.Error) -> str | None:
    said = str(error)
    if not isinstance(error, psycopg.OperationalError) or "FATAL" not in said:
        return None
    return next((state for words, state in _LOGIN if words in said.split("FATAL", 1)[1]), "28000")
