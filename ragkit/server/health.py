"""`/healthz`, `/readyz`, `/metrics`: for whoever runs the server. The first two need no key and tell nothing."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.responses import JSONResponse, Response

from ragkit.errors import MismatchError, RagkitError
from ragkit.pipeline import Pipeline
from ragkit.server.metrics import CONTENT_TYPE, Metrics
from ragkit.server.schemas import Health

_logger = logging.getLogger("ragkit.server")


class Readiness:
    """Whether questions can be answered: the index opens and is the one configured, and the model is loaded."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._warm = threading.Event()

    def warm(self) -> None:
        """Open the index and load the model, so that the first question does not wait for it."""
        try:
            self._pipeline.warm()
            # what is loaded now stays: looking through it for garbage again and again took a fifth of the time
            gc.collect()
            gc.freeze()
        except RagkitError as error:
            _logger.warning("not ready: %s", error)
        finally:
            self._warm.set()

    def detail(self) -> str:
        """Why not, or nothing."""
        if not self._warm.is_set():
            return "the model is being loaded"
        try:
            with self._pipeline.reader():
                return ""
        except MismatchError as error:
            _logger.warning("not ready: %s", error)
            return "the index is not the one that the configuration describes; run `ragkit ingest`"
        except RagkitError as error:
            _logger.warning("not ready: %s", error)
            return "the index cannot be read; the server's log says why"


def install(app: FastAPI, readiness: Readiness, metrics: Metrics, responses: dict[int | str, dict[str, Any]]) -> None:
    """Add the routes."""
    router = APIRouter(tags=["health"])

    @router.get("/healthz", summary="Whether the server runs", response_model=Health)
    async def healthz() -> Response:
        return JSONResponse({"status": "ok"})

    @router.get(
        "/readyz", summary="Whether it can answer", response_model=Health,
        responses={503: {"model": Health, "description": "Not now"}},
    )  # fmt: skip
    async def readyz() -> Response:
        detail = await asyncio.to_thread(readiness.detail)
        told = {"status": "not ready", "detail": detail} if detail else {"status": "ready", "detail": ""}
        return JSONResponse(told, 503 if detail else 200)

    @router.get("/metrics", summary="Numbers for Prometheus", response_class=Response, responses=responses)
    async def prometheus() -> Response:
        return Response(await asyncio.to_thread(metrics.text), headers={"Content-Type": CONTENT_TYPE})

    app.include_router(router)
