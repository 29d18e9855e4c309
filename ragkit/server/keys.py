"""API keys: who may do what. Only hashes of keys are kept, and they are compared in constant time.

A key has 256 random bits, so a plain SHA-256 of it cannot be guessed back; passwords that people choose are not taken.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Literal

from ragkit.errors import ConfigError, Problem

Role = Literal["read", "write"]
ROLES: tuple[Role, ...] = ("read", "write")
VARIABLE = "RAGKIT_API_KEYS"
_PREFIX = "rk_"
_LEAST_CHARS = 24
_NAME = re.compile(r"[A-Za-z0-9._@-]{1,64}")
_HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Caller:
    """Who asks. `write` may do all that `read` may, and upload and delete."""

    name: str
    role: Role

    def may(self, role: Role) -> bool:
        """Whether the role covers what asks for `role`."""
        return ROLES.index(self.role) >= ROLES.index(role)


@dataclass(frozen=True)
class Key:
    """A key as it is kept. `expires` is the last day on which it is taken (UTC), None for one that does not expire."""

    name: str
    role: Role
    hashed: str
    expires: date | None = None

    @property
    def line(self) -> str:
        """As it stands in a file."""
        return f"{self.name}:{self.role}:{self.hashed}" + (f":{self.expires.isoformat()}" if self.expires else "")


class Keys:
    """The keys of a server; without any, everybody on this machine may do everything."""

    def __init__(self, keys: Iterable[Key] = ()) -> None:
        self._keys = tuple(keys)

    def __bool__(self) -> bool:
        return bool(self._keys)

    @classmethod
    def of(cls, file: Path | None, environ: Mapping[str, str] = os.environ) -> Keys:
        """Those of the file, and those of RAGKIT_API_KEYS (`name:role:key`, separated by commas or spaces).

        Raises `ConfigError` with every line that is wrong, and says nothing of the keys themselves.
        """
        keys: list[Key] = []
        problems: list[Problem] = []
        for number, entry in enumerate(re.split(r"[,\s]+", environ.get(VARIABLE, "").strip()), 1):
            name, _, rest = entry.partition(":")
            role, _, key = rest.partition(":")
            if entry and (wrong := _wrong(name, role) or _too_short(key)):
                problems.append(Problem(VARIABLE, f"entry {number}: {wrong}"))
            elif entry:
                keys.append(Key(name, "write" if role == "write" else "read", hash_of(key)))
        if file is not None:
            for number, line in enumerate(_lines(file), 1):
                if not line.strip() or line.startswith("#"):
                    continue
                made = _parsed(line.strip())
                if isinstance(made, Key):
                    keys.append(made)
                else:
                    problems.append(Problem("serve.keys", made, str(file), number, 1))
        names = [key.name for key in keys]
        double = sorted({name for name in names if names.count(name) > 1})
        problems.extend(Problem("serve.keys", f"there are several keys called {name!r}") for name in double)
        if problems:
            raise ConfigError(problems, cure="`ragkit keys NAME` writes a line that is right")
        return cls(keys)

    def role_of(self, name: str) -> Role | None:
        """The role of the key of that name, or None."""
        return next((key.role for key in self._keys if key.name == name), None)

    def caller(self, key: str, today: date | None = None) -> Caller | None:
        """Whose key this is, or None for one that is unknown or expired. Takes as long for either."""
        hashed, found = hash_of(key), None
        for known in self._keys:
            if hmac.compare_digest(known.hashed, hashed):
                found = known
        now = today or datetime.fromtimestamp(time.time(), UTC).date()
        if found is None or (found.expires is not None and found.expires < now):
            return None
        return Caller(found.name, found.role)


def hash_of(key: str) -> str:
    """What is kept of a key: its SHA-256 in hexadecimal digits."""
    return hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()


def new_key(name: str, role: str, expires: date | None, known: Keys) -> tuple[str, Key]:
    """A fresh key, to be shown once, and what is kept of it.

    Raises `ConfigError` for a name or role that is none, and for a name that is among the `known` keys.
    """
    if wrong := _wrong(name, role) or (f"there is a key called {name!r} already" if known.role_of(name) else ""):
        raise ConfigError([Problem("", wrong)], cure="choose another, or take the old line out of the file")
    secret = _PREFIX + secrets.token_urlsafe(32)
    return secret, Key(name, "write" if role == "write" else "read", hash_of(secret), expires)


def _parsed(line: str) -> Key | str:
    """The key of a line of the file, or what is wrong with it."""
    name, role, hashed, expires, *rest = [*line.split(":"), "", "", "", ""]
    if wrong := _wrong(name, role):
        return wrong
    if not _HASH.fullmatch(hashed) or any(rest):
        return "must read name:role:hash, with the 64 hexadecimal digits of a SHA-256, and perhaps :YYYY-MM-DD"
    try:
        return Key(name, "write" if role == "write" else "read", hashed, date.fromisoformat(expires) if expires else None)
    except ValueError:
        return f"{expires!r} is no date; write YYYY-MM-DD"


def _wrong(name: str, role: str) -> str:
    if not _NAME.fullmatch(name):
        return "the name must be 1 to 64 letters, digits or . _ @ -"
    return "" if role in ROLES else f"the role of {name!r} must be one of: {', '.join(ROLES)}"


def _too_short(key: str) -> str:
    return "" if len(key) >= _LEAST_CHARS else f"a key has at least {_LEAST_CHARS} characters"


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeError) as error:
        told = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ConfigError(
            [Problem("serve.keys", f"{file} cannot be read: {told}")], cure="make one with `ragkit keys NAME --file FILE`"
        ) from None
