"""What the errors of PostgreSQL mean for a state, and what to do about them."""

from __future__ import annotations

from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as NoConnectionError

from ragkit.state.storage import Fault

_LATER = "run the command again; nothing that was reported done is lost"
_LOGIN = "correct user and password in `state`"
_CURES = {
    "25006": "name the primary server in `state`",
    "28000": _LOGIN,
    "28P01": _LOGIN,
    "3D000": "create it with `createdb`, or correct its name in `state`",
    "42501": "GRANT the role what it lacks (CREATE on the database, or on a schema made for it), or log in as another",
    "53100": f"make room on the server's disk; then {_LATER}",
    "53200": f"give the server more memory; then {_LATER}",
    "53300": "raise `max_connections` of the server, or ask it from fewer processes",
    "55P03": f"another process was writing for a minute: wait until it has ended; then {_LATER}",
    "57P03": f"wait until the server has started; then {_LATER}",
}
"""By SQLSTATE: https://www.postgresql.org/docs/current/errcodes-appendix.html."""
_LOST = ("08", "57P01", "57P02", "57P05")
"""The connection failed, or the server ended it."""
_WORDS = (
    ("password", "28P01"), ("pg_hba.conf", "28000"), ("permission denied", "42501"), ("starting up", "57P03"),
    ("shutting down", "57P03"), ("too many", "53300"), ("connection slots", "53300"), ("role ", "28000"), ("database ", "3D000"),
)  # fmt: skip
"""A login that is refused comes without a SQLSTATE: it is told by the server's words."""
_LONGEST = 300


def judge(error: SQLAlchemyError) -> Fault:
    """What an error of SQLAlchemy over psycopg means."""
    if isinstance(error, NoConnectionError) or not isinstance(error, DBAPIError):
        return Fault("all connections of this process are busy", "ask fewer questions at a time, or from more processes")
    said = _said(error.orig)
    state = getattr(error.orig, "sqlstate", None) or (_of_login(said) if "FATAL" in said else None)
    if state is None or state.startswith(_LOST):
        return Fault(said, f"see that PostgreSQL runs at the address in `state`; then {_LATER}")
    return Fault(said, _CURES.get(state, f"look at the server's log; then {_LATER}"))


def _said(error: BaseException | None) -> str:
    """The server's own words on one line, without the statement."""
    diagnosis = getattr(error, "diag", None)
    primary = getattr(diagnosis, "message_primary", None) or str(error)
    return " ".join(primary.split())[:_LONGEST]


def _of_login(said: str) -> str:
    return next((state for words, state in _WORDS if words in said.split("FATAL", 1)[1]), "28000")
