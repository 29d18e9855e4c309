"""Running the application: address, workers, slow clients, and the end."""

from __future__ import annotations

import logging
import os
import socket
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI
from uvicorn.supervisors import Multiprocess

from ragkit.chat import end_streams
from ragkit.config import Config, load
from ragkit.errors import ConfigError, Problem
from ragkit.host import Host
from ragkit.pipeline import Pipeline
from ragkit.server.access import is_local
from ragkit.server.keys import Keys
from ragkit.server.logs import configuration
from ragkit.server.patience import Patient

_KEEP_ALIVE_S = 75
"""Seconds that a silent connection is kept: longer than any `Retry-After`, so a client that comes back finds it open."""
_logger = logging.getLogger("ragkit.server")


@dataclass(frozen=True)
class Start:
    """What is started. `file` and `overrides` are those of the configuration, which each worker reads for itself."""

    file: Path
    overrides: Sequence[str] = ()
    api: bool = True
    page: bool = True
    workers: int = 1


def run(config: Config, start: Start, *, ready: Callable[[str], None]) -> None:
    """Serve until somebody stops it; `ready` is called with the address. Raises `ConfigError` for what cannot be served so."""
    settings = config.serve
    keys = Keys.of(settings.keys)
    if not keys and not is_local(settings.host):
        raise ConfigError(
            [Problem("serve.host", f"{settings.host} can be reached by others, and there are no keys")],
            cure="make one with `ragkit keys NAME`, or listen at 127.0.0.1",
        )
    _require_free(settings.host, settings.port)
    if start.workers > 1:
        _run_workers(config, start, ready)
        return
    with Pipeline(config) as pipeline:
        from ragkit.server.app import create_app

        app = create_app(pipeline, keys=keys, api=start.api, page=start.page)
        server = _Server(_uvicorn(config, app), app, ready)
        server.run()
        _leave_stuck_threads()


def _require_free(host: str, port: int) -> None:
    """Raise `ConfigError` where the address cannot be listened at, before anything is loaded."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind((host, port))
        except OSError as error:
            raise ConfigError(
                [Problem("serve.port", f"{host}:{port} cannot be listened at: {error.strerror or error}")],
                cure="choose another with `--port`; 0 takes a free one",
            ) from None


def worker(start: Start) -> FastAPI:
    """The application of one worker of several. A page's conversations would need one worker for all their requests."""
    from ragkit.server.app import create_app

    return create_app(Pipeline(load(start.file, Host(), overrides=start.overrides)), api=start.api, page=False)


def _run_workers(config: Config, start: Start, ready: Callable[[str], None]) -> None:
    for spec in (config.vector_store, config.keyword_store):
        if spec.capabilities.get("processes", "one") == "one":
            raise ConfigError(
                [Problem(spec.kind.yaml_key, f"{spec.use!r} is used by one process at a time, so there can be one worker")],
                cure="leave `--workers` out, or choose a store that is a server",
            )
    with tempfile.TemporaryDirectory(prefix="ragkit-metrics-") as shared:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = shared  # which the workers' processes inherit
        settings = _uvicorn(config, partial(worker, start), workers=start.workers, factory=True)
        listening = settings.bind_socket()
        ready(_address(config.serve.host, int(listening.getsockname()[1])))
        Multiprocess(settings, sockets=[listening]).run()


def _uvicorn(config: Config, app: Any, **more: Any) -> uvicorn.Config:
    settings = config.serve
    return uvicorn.Config(
        app, host=settings.host, port=settings.port, log_config=configuration(settings.log), access_log=False,
        server_header=False, timeout_graceful_shutdown=max(1, int(settings.shutdown)), ws="none", http=Patient,
        timeout_keep_alive=_KEEP_ALIVE_S, lifespan="on", **more,
    )  # fmt: skip


class _Server(uvicorn.Server):
    """Says when it is ready, and ends the streams of open pages."""

    def __init__(self, config: uvicorn.Config, app: FastAPI, ready: Callable[[str], None]) -> None:
        super().__init__(config)
        self._app = app
        self._ready = ready

    async def startup(self, sockets: Any = None) -> None:
        """Listen, then say so."""
        await super().startup(sockets)
        if self.started and self.servers:
            port = self.servers[0].sockets[0].getsockname()[1]
            self._ready(_address(self.config.host, port))

    async def shutdown(self, sockets: Any = None) -> None:
        """Tell open pages, which hold a stream each, then wait for what is at work."""
        end_streams(self._app)
        await super().shutdown(sockets)


def _address(host: str, port: int) -> str:
    shown = {"0.0.0.0": "localhost", "::": "localhost", "127.0.0.1": "localhost"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{shown}:{port}"


def _leave_stuck_threads() -> None:
    """End the process where a thread is still waiting for something, such as a model that does not answer."""
    stuck = [thread for thread in threading.enumerate() if thread.name.startswith("ragkit-worker")]
    for thread in stuck:
        thread.join(0.5)
    if any(thread.is_alive() for thread in stuck):
        _logger.warning("questions that did not end in time are left")
        logging.shutdown()
        os._exit(0)
