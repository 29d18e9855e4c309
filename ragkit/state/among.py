"""Asking a database about many keys at once, in one statement that is made once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Column, ColumnElement, LargeBinary, bindparam, text

_EACH = text(
    "WITH RECURSIVE places(at) AS (SELECT 1 UNION ALL SELECT at + 16 FROM places WHERE at + 16 <= length(:keys)) "
    "SELECT substr(:keys, at, 16) FROM places"
)


def among(column: Column[Any]) -> ColumnElement[bool]:
    """The condition that `column` has one of the keys of 16 bytes in the parameter `keys`, which `joined` makes.

    One parameter stands for all of them, however many there are. With a parameter for each, SQLAlchemy writes the statement
    anew every time, which takes longer than to execute it, and a database refuses too many.
    """
    each = _EACH.bindparams(bindparam("keys", type_=LargeBinary)).columns(Column("key", LargeBinary))
    return column.in_(each)


def joined(keys: Iterable[bytes]) -> bytes:
    """Keys of 16 bytes as `among` takes them."""
    return b"".join(keys)
