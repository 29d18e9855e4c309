"""The application: routes, what stands around them, and the chat page."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi.security import HTTPBearer
from starlette.middleware import Middleware

from ragkit import __version__
from ragkit.pipeline import Pipeline
from ragkit.server import asking, documents, errors, health, openai
from ragkit.server.access import Access
from ragkit.server.asking import Desk
from ragkit.server.errors import ErrorBody
from ragkit.server.keys import Keys
from ragkit.server.limits import Bounds, Gate, RateLimit
from ragkit.server.logs import Observed
from ragkit.server.metrics import Metrics

_SPARE_THREADS = 8
"""For what is no question: uploads, the page, health."""
_DESCRIPTION = (
    "Answers from documents, with citations. `/v1` is what clients of OpenAI's API ask; the other routes give ragkit's own "
    "JSON, with the trace of every stage."
)
_REFUSALS = {
    400: "The question or a field is wrong", 401: "No valid key", 403: "The key's role does not cover this",
    404: "There is no such thing", 408: "The request came too slowly", 409: "It belongs to another source",
    413: "The body is too large", 421: "Without keys, other hosts than localhost are refused",
    422: "A field is wrong, or the document is refused", 429: "Too many requests; see `Retry-After`", 499: "The client has left",
    500: "The server failed", 502: "A component failed", 503: "Busy or not ready; see `Retry-After`",
    504: "There was no answer in time",
}  # fmt: skip


def create_app(pipeline: Pipeline, *, keys: Keys | None = None, api: bool = True, page: bool = True) -> FastAPI:
    """The application over a pipeline that is the caller's to close, as its configuration's `serve` has it."""
    settings, keys = pipeline.config.serve, keys if keys is not None else Keys.of(pipeline.config.serve.keys)
    metrics, readiness = Metrics(pipeline), health.Readiness(pipeline)
    app = FastAPI(
        title=f"ragkit: {pipeline.config.name}", version=__version__, description=_DESCRIPTION, lifespan=_lifespan,
        docs_url="/docs" if api else None, redoc_url=None, openapi_url="/openapi.json" if api else None,
        middleware=[
            Middleware(Observed, metrics=metrics),
            *_cors(settings.cors),
            Middleware(Access, keys=keys, rate=RateLimit(settings.requests_per_minute), origins=settings.cors),
            Middleware(Bounds, most_bytes=int(settings.max_body_mb * 1e6), timeout_s=settings.timeout),
        ],
    )  # fmt: skip
    app.state.readiness, app.state.threads = readiness, settings.concurrency + _SPARE_THREADS
    errors.install(app)
    refusals: dict[int | str, dict[str, Any]] = {
        status: {"model": ErrorBody, "description": told} for status, told in _REFUSALS.items()
    }
    watchers = [metrics.traced]
    if settings.traces:
        from ragkit.server.tracing import Traces

        watchers.append(Traces(app, settings.traces, pipeline.config.name).traced)
    health.install(app, readiness, metrics, refusals)
    if api:
        desk = Desk(pipeline, Gate(settings.concurrency, settings.waiting), settings.timeout, watchers)
        openai.install(app, desk, refusals)
        asking.install(app, desk, refusals)
        documents.install(app, pipeline, refusals)
        _document_keys(app)
    return _with_page(app, pipeline, keys) if page else app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Threads for as many questions as are worked on at once; the first of them loads the model."""
    pool = ThreadPoolExecutor(app.state.threads, thread_name_prefix="ragkit-worker")
    loop = asyncio.get_running_loop()
    loop.set_default_executor(pool)
    loading = loop.run_in_executor(None, app.state.readiness.warm)
    try:
        yield
    finally:
        loading.cancel()
        pool.shutdown(wait=False, cancel_futures=True)


def _cors(origins: tuple[str, ...]) -> list[Middleware]:
    if not origins:
        return []
    headers = ["Authorization", "Content-Type", "X-Request-Id"]
    return [
        Middleware(CORSMiddleware, allow_origins=list(origins), allow_methods=["GET", "POST", "DELETE"], allow_headers=headers)
    ]


def _document_keys(app: FastAPI) -> None:
    """Say in the OpenAPI document that a key is sent, which `Access` has read before."""
    made = app.openapi

    def documented() -> dict[str, Any]:
        document = made()
        scheme = HTTPBearer(description="A key of `ragkit keys`, where the server has any.")
        document.setdefault("components", {})["securitySchemes"] = {
            "key": scheme.model.model_dump(mode="json", by_alias=True, exclude_none=True)
        }
        for path, operations in document["paths"].items():
            for operation in operations.values():
                if path not in ("/healthz", "/readyz"):
                    operation["security"] = [{"key": []}, {}]
        return document

    app.openapi = documented  # type: ignore[method-assign]  # FastAPI's documented way to extend it


def _with_page(app: FastAPI, pipeline: Pipeline, keys: Keys) -> FastAPI:
    from ragkit.chat import mount

    def sign_in(name: str, key: str) -> bool:
        caller = keys.caller(key)
        return caller is not None and caller.name == name

    def may_upload(user: str) -> bool:
        return pipeline.config.chat.uploads and (not keys or keys.role_of(user) == "write")

    return mount(app, pipeline, path="/", sign_in=sign_in if keys else None, may_upload=may_upload)
