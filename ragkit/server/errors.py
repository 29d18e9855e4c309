"""What a request gets that cannot be met: a status, a message, and nothing that is not meant for it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from ragkit.errors import (
    ComponentError,
    ConversationError,
    DocumentError,
    ForeignDocumentError,
    QueryError,
    RagkitError,
    StateError,
    UnknownDocumentError,
)

_logger = logging.getLogger("ragkit.server")
_MOST_TOLD = 5


class ErrorDetail(BaseModel):
    """As OpenAI's API has it."""

    message: str = Field(description="What is wrong and what to do.")
    type: str = Field(description="The kind of error, such as `invalid_request_error`.")
    code: str | None = Field(None, description="Which one, for programs.")
    param: str | None = Field(None, description="The field that is wrong, where one is.")


class ErrorBody(BaseModel):
    """The body of every answer that is no success."""

    error: ErrorDetail


class Refused(HTTPException):
    """A request that is not met: status, message, code, and headers of the answer."""

    def __init__(self, status: int, message: str, code: str, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status, message, headers)
        self.status = status
        self.message = message
        self.code = code

    def response(self) -> JSONResponse:
        """The answer."""
        return body(self.status, self.message, self.code, headers=self.headers)


def busy(message: str, seconds: int = 1, *, status: int = 503, code: str = "overloaded") -> Refused:
    """Not now: the client may come back after so many seconds."""
    return Refused(status, message, code, headers={"Retry-After": str(max(1, seconds))})


def body(
    status: int, message: str, code: str, *, param: str | None = None, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """An error as JSON."""
    return JSONResponse(told(status, message, code, param), status, headers=dict(headers or {}))


def told(status: int, message: str, code: str, param: str | None = None) -> dict[str, Any]:
    """An error as it stands in a body, or in a stream."""
    kind = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}.get(status)
    kind = kind or ("invalid_request_error" if status < 500 else "server_error")
    return {"error": {"message": message, "type": kind, "code": code, "param": param}}


def explained(error: RagkitError) -> Refused:
    """What a client is told of an error of ragkit's: of its own question everything, of the server's state only that it fails."""
    if isinstance(error, UnknownDocumentError):
        return Refused(404, _line(error), "unknown_document")
    if isinstance(error, ForeignDocumentError):
        return Refused(409, _line(error), "owned_by_another_source")
    if isinstance(error, DocumentError):
        return Refused(422, _line(error), "document_refused")
    if isinstance(error, QueryError):
        return Refused(400, _line(error), "invalid_question")
    if isinstance(error, ConversationError):
        return Refused(404, _line(error), "unknown_conversation")
    _logger.error("%s: %s", type(error).__name__, error)
    if isinstance(error, ComponentError):
        what = f"the component {error.component!r}" if error.component else "a component"
        return Refused(502, f"{what} failed; the server's log says more", "component_failed")
    if isinstance(error, StateError):
        return busy("the index cannot answer now; the server's log says why", 5, code="not_ready")
    return Refused(500, "the server is not set up correctly; its log says more", "misconfigured")


def install(app: FastAPI) -> None:
    """Have the application answer errors so."""

    @app.exception_handler(Refused)
    async def refused(request: Request, error: Refused) -> JSONResponse:
        return error.response()

    @app.exception_handler(RagkitError)
    async def failed(request: Request, error: RagkitError) -> JSONResponse:
        return explained(error).response()

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        problems = error.errors()
        if any(problem["type"] == "json_invalid" for problem in problems):
            return body(400, "the body is no JSON", "invalid_json")
        places = [".".join(str(part) for part in problem["loc"] if part != "body") for problem in problems]
        lines = [f"{place or 'body'}: {problem['msg']}" for place, problem in zip(places, problems, strict=True)]
        return body(422, "; ".join(lines[:_MOST_TOLD]), "invalid_request", param=places[0] or None)

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> JSONResponse:
        code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "refused")
        return body(error.status_code, str(jsonable_encoder(error.detail)), code, headers=error.headers)


def _line(error: RagkitError) -> str:
    return f"{error.message}; {error.cure}" if error.cure else error.message
