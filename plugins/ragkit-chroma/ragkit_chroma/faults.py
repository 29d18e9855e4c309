"""What goes wrong with Chroma, embedded or a server, as errors that say what to do."""

from __future__ import annotations

import json
from json import JSONDecodeError
from typing import TYPE_CHECKING

import httpx
from chromadb.errors import ChromaError, NotFoundError

from ragkit.errors import ComponentError
from ragkit.stores import Fault, http_fault, unreachable

if TYPE_CHECKING:
    from collections.abc import Mapping

_ANOTHER_MODEL = "the collection holds vectors of another model; `ragkit ingest` builds a new one"
_GONE = "it was deleted behind ragkit's back: run `ragkit views repair`, which builds it anew"
_LIMITS = "make chunks or their metadata smaller, turn off `store_text`, or ask Chroma for a larger quota; then run again"
_CURES = {
    "with dimension": _ANOTHER_MODEL,
    "Expected a name": "Chroma's names have 3 to 512 letters, digits, `.`, `_` and `-`; a letter or a digit begins and ends them",
    "Database [": "create it on the server, or correct `tenant` and `database` in `vector_store`",
    "quota limit": _LIMITS,
}
"""What to do, by a part of what Chroma says; all of these are final."""


def local_error(error: Exception, address: str) -> ComponentError | None:
    """The meaning of what Chroma's client raises itself; None for what is no fault of Chroma."""
    if isinstance(error, NotFoundError):
        return _error(f"Chroma at {address} does not have the collection any more: {error}", _GONE)
    if isinstance(error, ChromaError | ValueError | TypeError):
        return _error(f"Chroma at {address}: {error}", _cure(str(error)) or "run `ragkit views verify`")
    return None


def judge(error: Exception, address: str, timeout_s: float) -> Fault | None:
    """The meaning of what a request to a Chroma server raised; None for what is no fault of the server."""
    if isinstance(error, httpx.HTTPStatusError):
        return _of_status(error.response, address)
    if isinstance(error, httpx.TimeoutException):
        return unreachable("Chroma", address, f"nothing came within {timeout_s:g} s")
    if isinstance(error, httpx.TransportError):
        return unreachable("Chroma", address, error)
    if isinstance(error, JSONDecodeError | KeyError | AttributeError):
        return Fault(
            _error(f"what answers at {address} is no Chroma server", "correct `host`, `port` and `ssl` in `vector_store`")
        )
    told = local_error(error, address)
    return Fault(told) if told is not None else None


def refuse(response: httpx.Response) -> None:
    """A hook of httpx: raise for whatever is no success, before Chroma's client takes status and headers from the error."""
    if not response.is_success:
        response.read()
        response.raise_for_status()


def _of_status(response: httpx.Response, address: str) -> Fault:
    detail = _detail(response)
    if cure := _cure(detail):
        return Fault(_error(f"Chroma at {address}: {detail} (HTTP {response.status_code})", cure))
    if response.is_redirect:
        told = (
            f"Chroma at {address} sends the client elsewhere (HTTP {response.status_code}), to {response.headers['location']!r}"
        )
        return Fault(_error(told, "correct `host`, `port` and `ssl` in `vector_store`"))
    return http_fault("Chroma", address, response.status_code, detail, response.headers.get("retry-after"))


def _detail(response: httpx.Response) -> str:
    """The server's own words; none of a page made for people."""
    if "html" in response.headers.get("content-type", ""):
        return ""
    try:
        body: Mapping[str, object] = json.loads(response.text)
        return str(body["message"])
    except (ValueError, KeyError, TypeError):
        return response.text.strip()


def _cure(told: str) -> str:
    return next((cure for part, cure in _CURES.items() if part in told), "")


def _error(message: str, cure: str) -> ComponentError:
    return ComponentError(message, component="chroma", cure=cure)
