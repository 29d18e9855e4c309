"""URLs in one form, and which of them are wanted."""

from __future__ import annotations

import mimetypes
import re
from collections.abc import Iterable, Sequence
from functools import cache
from urllib.parse import urljoin

import httpx

_MAX_CHARS = 2_000
_DEFAULT_PORTS = {"http": 80, "https": 443}
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
_UNRESERVED = re.compile(r"[A-Za-z0-9._~-]")
_IPV4 = re.compile(r"(?:\d{1,3}\.){3}\d{1,3}")
_NUMERIC_END = re.compile(r"(?:.*\.)?(?:\d+|0[xX][0-9A-Fa-f]*)")
_NOT_PAGES = frozenset(
    ("application/zip", "application/x-tar", "application/octet-stream", "application/java-archive", "text/css")
)
_NOT_PAGES_KINDS = frozenset(("image", "audio", "video", "font"))


def normal(url: str, base: str = "", tracking: Sequence[str] = ()) -> str:
    """The URL in the one form that names its page: absolute, without fragment, default port, or parameters like `tracking`.

    Raises `ValueError` saying why, for what is no http(s) URL, holds a password, or whose host is a disguised number.
    """
    joined = urljoin(base, "".join(url.split("\n")).strip()) if base else url.strip()
    if len(joined) > _MAX_CHARS:
        raise ValueError(f"it has more than {_MAX_CHARS:,} characters")
    try:
        parts = httpx.URL(joined)
        host = parts.raw_host.decode("ascii").lower().rstrip(".")
    except (httpx.InvalidURL, UnicodeError, ValueError, TypeError) as error:
        raise ValueError("it cannot be read as a URL") from error
    if parts.scheme not in _DEFAULT_PORTS:
        raise ValueError("it begins with neither http:// nor https://")
    if parts.userinfo:
        raise ValueError("it holds a user name or password")
    if not host:
        raise ValueError("it has no host")
    if _NUMERIC_END.fullmatch(host) and not _IPV4.fullmatch(host):
        raise ValueError("its host is a number, and no name or IP address")
    authority = f"[{host}]" if ":" in host else host
    if parts.port is not None and parts.port != _DEFAULT_PORTS[parts.scheme]:
        authority += f":{parts.port}"
    path, _, query = parts.raw_path.decode("ascii").partition("?")
    kept = [one for one in query.split("&") if one and not _is_like(one.split("=", 1)[0], tracking)]
    asked = f"?{'&'.join(kept)}" if kept else ""
    return _ESCAPE.sub(_unescaped, f"{parts.scheme}://{authority}{path or '/'}{asked}")


def host_of(url: str) -> str:
    """The host of a normal URL, with its port where that is not the usual one."""
    return url.split("/", 3)[2]


def origin_of(url: str) -> str:
    """Scheme, host and port of a normal URL, such as `https://example.org`."""
    return "/".join(url.split("/", 3)[:3])


class Scope:
    """Which pages are wanted. The hosts of the first pages belong to it, and those that they redirect to."""

    def __init__(self, include: Sequence[str], exclude: Sequence[str], hosts: Iterable[str] | None) -> None:
        """`hosts` is None where any host will do."""
        self._include = tuple(include)
        self._exclude = tuple(exclude)
        self._hosts = None if hosts is None else set(hosts)

    def add_host(self, host: str) -> None:
        """Stay on this host, too."""
        if self._hosts is not None:
            self._hosts.add(host)

    def has_host(self, url: str) -> bool:
        """Whether the host of a normal URL is one to stay on."""
        return self._hosts is None or host_of(url) in self._hosts

    def wants(self, url: str) -> bool:
        """Whether the patterns take a normal URL."""
        return self._like(url, self._include) and not self._like(url, self._exclude)

    def _like(self, url: str, patterns: tuple[str, ...]) -> bool:
        after_host = url[len(origin_of(url)) :]
        return any(_pattern(one).fullmatch(after_host if one.startswith("/") else url) for one in patterns)


def is_media(url: str) -> bool:
    """Whether a normal URL ends as pictures, sound, style sheets, archives and programs do: no link to follow."""
    kind, packed = _types().guess_type(url.partition("?")[0])
    return packed is not None or (kind is not None and (kind in _NOT_PAGES or kind.partition("/")[0] in _NOT_PAGES_KINDS))


@cache
def _types() -> mimetypes.MimeTypes:
    """Python's own table, so that what the system adds to it changes nothing."""
    return mimetypes.MimeTypes()


@cache
def _pattern(pattern: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, re.sub(r"\*+", "*", pattern).split("*"))))


def _is_like(name: str, patterns: Sequence[str]) -> bool:
    return any(_pattern(pattern).fullmatch(name) for pattern in patterns)


def _unescaped(escape: re.Match[str]) -> str:
    """Escapes in capitals, and none for the characters that need none (RFC 3986, 6.2.2)."""
    character = chr(int(escape[1], 16))
    return character if _UNRESERVED.fullmatch(character) else escape[0].upper()
