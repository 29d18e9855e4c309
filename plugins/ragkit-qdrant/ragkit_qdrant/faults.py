"""What goes wrong with Qdrant, a server or a folder, as errors that say what to do."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

from ragkit.errors import ComponentError
from ragkit.stores import Fault, http_fault, unreachable

_INVALID = '<>:"/\\|?*\0\x1f'
_LONGEST_NAME = 255


def address_of(url: str) -> str:
    """The URL without user, password and query: what an error may show."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}".rstrip("/")


def require_name(collection: str, address: str) -> str:
    """The collection's name. Raises `ComponentError` where Qdrant refuses such a name."""
    if not collection or len(collection.encode()) > _LONGEST_NAME or set(collection) & set(_INVALID) or collection in (".", ".."):
        raise ComponentError(
            f"qdrant at {address}: {collection[:80]!r} is no name of a collection",
            component="qdrant",
            cure=f"use 1 to {_LONGEST_NAME} characters without {' '.join(_INVALID[:-2])}",
        )
    return collection


def judge(error: Exception, address: str, timeout_s: float) -> Fault | None:
    """The meaning of what a request to a Qdrant server raised; None for what is no fault of the server."""
    import httpx
    from qdrant_client.common.client_exceptions import QdrantException, ResourceExhaustedResponse
    from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

    if isinstance(error, ResourceExhaustedResponse):
        return http_fault("qdrant", address, 429, error, str(error.retry_after_s))
    if isinstance(error, QdrantException):  # a `Retry-After` that is a date
        return http_fault("qdrant", address, 429, error)
    if isinstance(error, UnexpectedResponse):
        return _of_status(error, address)
    if isinstance(error, ResponseHandlingException):
        source = error.source
        if isinstance(source, httpx.TimeoutException):
            return unreachable("qdrant", address, f"nothing came within {timeout_s:g} s")
        return _strange(source, address) if isinstance(source, ValueError) else unreachable("qdrant", address, source)
    if isinstance(error, AssertionError):  # the client's: an answer without a result
        return _strange(error, address)
    if any(base.__module__.partition(".")[0] == "grpc" for base in type(error).__mro__):
        return _of_grpc(error, address)
    return None


def local_error(error: Exception, folder: str) -> ComponentError | None:
    """The meaning of what qdrant-client's local mode raised; None for what is a bug."""
    told = str(error)
    if isinstance(error, RuntimeError) and "already accessed" in told:
        return ComponentError(
            f"qdrant: another process has the folder {folder} open, and local mode takes one, be it to read or to write",
            component="qdrant",
            cure="end the other process, or give `vector_store` the `url` of a Qdrant server, which takes many",
        )
    if isinstance(error, ValueError) and "not found" in told:
        told = f"qdrant in {folder} does not have the collection any more: {told}"
        return ComponentError(told, component="qdrant", cure="it was deleted behind ragkit's back: run `ragkit views repair`")
    if isinstance(error, OSError | ValueError | RuntimeError | KeyError):
        cure = "check that the folder can be written to; `ragkit views repair` builds it anew"
        return ComponentError(f"qdrant in {folder}: {type(error).__name__}: {told[:300]}", component="qdrant", cure=cure)
    return None


def _strange(error: Exception, address: str) -> Fault:
    told = f"qdrant: what answers at {address} is no Qdrant server, or one of another version: {str(error)[:200]}"
    cure = "correct `url` in `vector_store`; Qdrant 1.16 or newer is needed"
    return Fault(ComponentError(told, component="qdrant", cure=cure))


def _of_status(error: Any, address: str) -> Fault:
    status = int(error.status_code or 0)
    if status in (301, 302, 307, 308):
        told = f"qdrant at {address} sends the client elsewhere (HTTP {status})"
        return Fault(
            ComponentError(told, component="qdrant", cure="correct `url` in `vector_store`: its scheme, host, port and path")
        )
    return http_fault("qdrant", address, status, _detail(error.content), error.headers.get("retry-after"))


def _detail(content: bytes) -> str:
    """The server's own words; none of a page made for people."""
    try:
        return str(json.loads(content)["status"]["error"])
    except (ValueError, KeyError, TypeError):
        text = content.decode("utf-8", "replace").strip()
        return "" if text.startswith("<") else text


def _of_grpc(error: Any, address: str) -> Fault:
    """Codes of gRPC as the HTTP statuses that mean the same."""
    code = getattr(error.code(), "name", "UNKNOWN") if callable(getattr(error, "code", None)) else "UNKNOWN"
    detail = error.details() if callable(getattr(error, "details", None)) else str(error)
    if code in ("UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED"):
        return unreachable("qdrant", address, detail)
    return http_fault("qdrant", address, _GRPC.get(code, 500), detail)


_GRPC = {
    "UNAUTHENTICATED": 401, "PERMISSION_DENIED": 403, "NOT_FOUND": 404, "ALREADY_EXISTS": 409, "RESOURCE_EXHAUSTED": 429,
    "INVALID_ARGUMENT": 400, "OUT_OF_RANGE": 400, "FAILED_PRECONDITION": 400, "UNIMPLEMENTED": 400,
}  # fmt: skip
