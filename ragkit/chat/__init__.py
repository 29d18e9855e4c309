"""The chat page: a Gradio app that is mounted into whatever FastAPI app serves it. Gradio is imported when it is mounted."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastapi import FastAPI

    from ragkit.pipeline import Pipeline

__all__ = ["end_streams", "mount"]

QUIET = {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "GRADIO_ANALYTICS_CACHE_FREQUENCY": str(10**9),
    "GRADIO_ANALYTICS_MAX_EVENTS": "1",
    "GRADIO_RUN_HISTORY": "False",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}
"""What Gradio and the Hugging Face client read when they are imported.

Two are about time: after every event Gradio would put the last ten thousand into a table, for a page that is closed here.
"""


def _anybody(user: str) -> bool:
    return True


def mount(
    app: FastAPI,
    pipeline: Pipeline,
    *,
    path: str = "/",
    sign_in: Callable[[str, str], bool] | None = None,
    may_upload: Callable[[str], bool] = _anybody,
) -> FastAPI:
    """Mount the page at `path`; with "/" mount it last, for it takes every path that nothing before it took.

    With `sign_in(name, key)` people sign in first, and their name owns their conversations. Without, each browser owns its
    own, by a random id in a cookie that scripts cannot read and other sites cannot have sent. `may_upload` says whether an
    owner may upload where the configuration lets people upload at all.
    """
    os.environ.update(QUIET)
    from ragkit.chat.page import mount_page, on_a_loop

    return on_a_loop(lambda: mount_page(app, pipeline, path=path, sign_in=sign_in, may_upload=may_upload))


def end_streams(app: FastAPI) -> None:
    """End the streams by which open pages are told things; a server calls this on its event loop when it is asked to stop.

    Otherwise it waits for everybody to close the page. An app without the page is left alone.
    """
    for route in app.routes:
        if (stopped := getattr(getattr(route, "app", None), "stop_event", None)) is not None:
            stopped.set()
