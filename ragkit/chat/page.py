"""The page as Gradio sees it: its parts, its events, and how it is mounted."""

from __future__ import annotations

import asyncio
import functools
import inspect
import shutil
import tempfile
import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import gradio as gr
from markupsafe import escape
from starlette.middleware import Middleware
from starlette.routing import Mount

from ragkit.chat.handlers import Handlers, Parts, Sent
from ragkit.chat.render import Pages
from ragkit.chat.settings import title
from ragkit.chat.uploads import Taking
from ragkit.chat.visitors import Guard, visitor
from ragkit.errors import ConversationError

if TYPE_CHECKING:
    from fastapi import FastAPI

    from ragkit.pipeline import Pipeline

T = TypeVar("T")

ASSETS = Path(__file__).parent / "assets"
FONTS = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "Arial", "sans-serif"]
PARTS = ("side", "bar", "thread", "live", "uploads", "panel", "tune", "signal")
"""What handlers give anew, by name: each is an HTML component of that id, but `signal`, which the script reads."""
_TIDY_S = 3600
_CONNECTED = """
const ragkit = (window.ragkit = window.ragkit || {});
ragkit.channel = { trigger, upload };
watch("value", () => ragkit.signal(props.value));
if (ragkit.connect) ragkit.connect();
"""
"""Whichever comes first, this or the page's script, the second connects them."""


def on_a_loop(make: Callable[[], T]) -> T:
    """What `make` gives on an event loop; where none runs, Gradio would make some of its own and leave them open."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:

        async def making() -> T:
            return make()

        return asyncio.run(making())
    return make()


def mount_page(
    app: FastAPI,
    pipeline: Pipeline,
    *,
    path: str,
    sign_in: Callable[[str, str], bool] | None,
    may_upload: Callable[[str], bool],
) -> FastAPI:
    """See `ragkit.chat.mount`."""
    sent = Path(tempfile.mkdtemp(prefix="ragkit-chat-"))
    pages, uploads = Pages(title(pipeline.config)), pipeline.config.chat.uploads
    handlers = Handlers(pipeline, pages, Taking(pipeline, sent), may_upload, discreet=sign_in is not None)
    blocks = _blocks(pipeline, pages, handlers, signed_in=sign_in is not None)
    guard = Middleware(Guard, title=title(pipeline.config), anonymous=sign_in is None, uploads=uploads)
    gr.mount_gradio_app(
        app,
        blocks,
        path,
        auth=_asynchronous(sign_in) if sign_in else None,
        auth_message=str(escape(title(pipeline.config))),
        app_kwargs={"docs_url": None, "redoc_url": None, "openapi_url": None, "middleware": [guard]},
        show_error=False,
        max_file_size=int(pipeline.config.serve.max_body_mb * 1_000_000),
        footer_links=[],
        run_history=False,
        enable_monitoring=False,
        ssr_mode=False,
        mcp_server=False,
        pwa=False,
        allowed_paths=[],
        theme=gr.themes.Base(font=FONTS, font_mono=["ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace"]),
        # as `css_paths` Gradio would rewrite the selectors, and none could look at the page's body
        head=f"<style>\n{(ASSETS / 'page.css').read_text(encoding='utf-8')}</style>",
        js=(ASSETS / "page.js").read_text(encoding="utf-8"),
    )
    mounted = next(route.app for route in reversed(app.routes) if isinstance(route, Mount))
    mounted.uploaded_file_dir = str(sent)  # type: ignore[attr-defined]  # Gradio's own folder is everybody's on this machine
    weakref.finalize(mounted, shutil.rmtree, sent, ignore_errors=True)
    return app


def _blocks(pipeline: Pipeline, pages: Pages, handlers: Handlers, *, signed_in: bool) -> gr.Blocks:
    """The parts in the order in which they are focused, and the events, which all come through `signal`."""
    first = {"side": pages.side([], ""), "bar": pages.bar(None), "thread": pages.waiting(), "tune": ""}

    def part(name: str) -> gr.HTML:
        return gr.HTML(first.get(name, ""), elem_id=f"rk-{name}", js_on_load=None, apply_default_css=False)

    with gr.Blocks(
        title=title(pipeline.config), analytics_enabled=False, fill_width=True, fill_height=True, delete_cache=(_TIDY_S, _TIDY_S)
    ) as blocks:
        parts: dict[str, gr.HTML] = {}
        with gr.Column(elem_id="rk-app"):
            parts |= {name: part(name) for name in ("side", "bar")}
            with gr.Column(elem_id="rk-scroll"):
                parts |= {name: part(name) for name in ("thread", "live")}
            with gr.Column(elem_id="rk-foot"):
                parts["uploads"] = part("uploads")
                gr.HTML(
                    pages.composer(uploads=pipeline.config.chat.uploads, signed_in=signed_in), elem_id="rk-composer",
                    js_on_load=None, apply_default_css=False,
                )  # fmt: skip
            parts |= {name: part(name) for name in ("panel", "tune")}
            parts["signal"] = gr.HTML(None, elem_id="rk-signal", html_template="", js_on_load=_CONNECTED, apply_default_css=False)
        _listen(blocks, parts, handlers, signed_in=signed_in, concurrency=pipeline.config.serve.concurrency)
    made: gr.Blocks = blocks
    return made


def _listen(blocks: gr.Blocks, parts: dict[str, gr.HTML], handlers: Handlers, *, signed_in: bool, concurrency: int) -> None:
    """Which event of the page's script calls which handler."""
    signal = parts["signal"]

    async def left(request: gr.Request) -> None:
        await handlers.left(request.session_hash or "")

    calls: list[tuple[Any, Any]] = [
        (signal.submit, handlers.ask), (signal.stop, handlers.stop), (signal.select, handlers.open),
        (signal.edit, handlers.rename), (signal.delete, handlers.delete), (signal.download, handlers.export),
        (signal.like, handlers.rate), (signal.apply, handlers.settings), (signal.expand, handlers.source),
        (signal.upload, handlers.upload),
    ]  # fmt: skip
    blocks.unload(left)
    for event, handler in calls:
        event(
            _adapted(handler, handlers.told_of, parts, signed_in), inputs=None, outputs=list(parts.values()),
            show_progress="hidden", api_visibility="private", concurrency_limit=concurrency, concurrency_id=handler.__name__,
            trigger_mode="multiple",
        ).then(fn=None, js=f"() => window.ragkit.settled('{handler.__name__}')", api_visibility="private")  # fmt: skip


def _adapted(
    handler: Any, told_of: Callable[[Exception], Parts], parts: dict[str, gr.HTML], signed_in: bool
) -> Callable[..., Any]:
    """A handler as Gradio calls it. The owner comes from the request alone; what a handler raises becomes a sentence."""

    def outputs(given: Parts) -> dict[Any, Any]:
        # Gradio takes an empty answer for a wrong one
        return {parts[name]: value for name, value in given.items()} or {parts["signal"]: gr.skip()}

    def owner(request: gr.Request) -> str:
        found = request.username if signed_in else visitor(request.request.cookies if request.request else {})
        if not found:
            raise ConversationError(
                "your browser did not send the cookie that this page knows you by", cure="allow it, and reload"
            )
        return found

    if inspect.isasyncgenfunction(handler):

        async def stream(event: gr.EventData, request: gr.Request) -> AsyncGenerator[dict[Any, Any], None]:
            try:
                given: AsyncGenerator[Parts, None] = handler(owner(request), _sent(event, request))
                async with aclosing(given):
                    async for item in given:
                        yield outputs(item)
            except Exception as error:  # noqa: BLE001 - whatever it is, the page says a sentence and the log has the rest
                yield outputs(told_of(error))

        return stream

    async def call(event: gr.EventData, request: gr.Request) -> dict[Any, Any]:
        try:
            return outputs(await _awaited(handler, owner(request), _sent(event, request)))
        except Exception as error:  # noqa: BLE001 - as above
            return outputs(told_of(error))

    return call


async def _awaited(handler: Callable[[str, Sent], Any], owner: str, sent: Sent) -> Parts:
    """What a handler gives; one that blocks is called in a thread."""
    given: Parts = await (
        handler(owner, sent) if inspect.iscoroutinefunction(handler) else asyncio.to_thread(handler, owner, sent)
    )
    return given


def _sent(event: gr.EventData, request: gr.Request) -> Sent:
    """What the browser sent, and as `page` the id of the open page, which Gradio calls its session."""
    data = event._data
    return {**(data if isinstance(data, dict) else {}), "page": request.session_hash or ""}


def _asynchronous(sign_in: Callable[[str, str], bool]) -> Callable[[str, str], Awaitable[bool]]:
    """A key is checked in a thread: to hash it takes a while."""

    @functools.wraps(sign_in)
    async def checked(name: str, key: str) -> bool:
        return await asyncio.to_thread(sign_in, name, key)

    return checked
