"""A line for every request: an id, what was asked of which route, how it went. Never a body, a query or a key."""

from __future__ import annotations

import json
import logging
import re
import time
import uuid
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ragkit.server.errors import body
from ragkit.server.metrics import Metrics

_access = logging.getLogger("ragkit.access")
_logger = logging.getLogger("ragkit.server")
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_PROBES = ("/healthz", "/readyz", "/metrics")
"""What asks all the time, and is logged where it fails."""
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


class Observed:
    """The outermost ASGI middleware: request ids, logs, metrics, and an answer where everything else has failed."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on and watch it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        number = given if _ID.fullmatch(given) else uuid.uuid4().hex
        scope.setdefault("state", {})["request_id"] = number
        began, status = time.perf_counter(), 0

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-Id"] = number
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        self._metrics.begin()
        try:
            await self._app(scope, receive, watched)
        except Exception as error:
            _logger.exception("request %s failed", number)
            self._metrics.error("internal")
            if status:
                raise
            response = body(500, f"the server failed; its log has the reason under {number}", "internal")
            await response(scope, receive, watched)
            if not isinstance(error, Exception):
                raise
        finally:
            seconds = time.perf_counter() - began
            route = _route(scope)
            self._metrics.end(scope["method"] if status != 405 else "OTHER", route, status or 499, seconds)
            if status >= 400:
                self._metrics.error(str(status))
            caller = scope["state"].get("caller")
            extra = {
                "request_id": number, "method": scope["method"], "route": route, "status": status or 499,
                "ms": round(seconds * 1000, 1), "caller": caller.name if caller else "",
            }  # fmt: skip
            quiet = route in _PROBES and status < 400
            _access.log(logging.DEBUG if quiet else logging.INFO, "request", extra={"fields": extra})


def _route(scope: Scope) -> str:
    """The route as it was declared, so that nothing of a request's own stands in logs and metrics."""
    path = getattr(scope.get("route"), "path", None)
    return str(path) if path else "page"


class TextLines(logging.Formatter):
    """Lines for people."""

    def format(self, record: logging.LogRecord) -> str:
        """`time level logger message key=value …`."""
        fields: dict[str, Any] = getattr(record, "fields", {})
        told = " ".join(f"{key}={value}" for key, value in fields.items() if value != "")
        return " ".join(part for part in (super().format(record), told) if part)


class JsonLines(logging.Formatter):
    """Lines for programs: one JSON object each."""

    def format(self, record: logging.LogRecord) -> str:
        """As JSON."""
        line: dict[str, Any] = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"), "level": record.levelname.lower(), "logger": record.name,
            "message": record.getMessage(), **getattr(record, "fields", {}),
        }  # fmt: skip
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def configuration(form: str) -> dict[str, Any]:
    """What `logging.config.dictConfig` takes: everything on standard error."""
    formatter = {"text": {"()": TextLines, "fmt": "%(asctime)s %(levelname)s %(name)s %(message)s"}, "json": {"()": JsonLines}}[
        form
    ]
    loggers = {name: {"handlers": ["standard"], "level": "INFO", "propagate": False} for name in ("ragkit", "uvicorn")}
    return {
        "version": 1, "disable_existing_loggers": False, "formatters": {"lines": formatter},
        "handlers": {"standard": {"class": "logging.StreamHandler", "formatter": "lines", "stream": "ext://sys.stderr"}},
        "loggers": {**loggers, "uvicorn.access": {"handlers": [], "level": "WARNING", "propagate": False}},
    }  # fmt: skip
