"""Who is at the page, and what the page's routes let in and out: a small ASGI middleware around Gradio's app."""

from __future__ import annotations

import re
import secrets
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from markupsafe import escape
from starlette.requests import cookie_parser

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

COOKIE = "ragkit_visitor"
KEPT_S = 400 * 24 * 3600
"""As long as browsers keep a cookie at most."""

_ID = re.compile(r"[0-9a-f]{32}")
_OPEN = re.compile(
    r"/?|/(?:config|login|logout|theme\.css|favicon\.ico|robots\.txt)/?|/(?:assets|static|svelte)/.*"
    r"|/gradio_api/(?:queue/(?:join|data)|upload|upload_progress|heartbeat/\w+|reset|cancel|login_check|startup-events|theme\.css)/?"
)
"""The routes of Gradio that the page uses. Its files, proxies, API pages, histories and monitors are closed."""
_POLICY = (
    "default-src 'none'; script-src 'self' 'nonce-{nonce}' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src 'self' data:; connect-src 'self'; base-uri 'self'; form-action 'self'; "
    "frame-ancestors 'none'"
)
"""`unsafe-eval`, for Gradio compiles the templates of its HTML components; no inline script runs without the nonce."""
_HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}
_ICON = (
    b'<link rel="icon" href="data:image/svg+xml,%3Csvg xmlns=%22http://www.w3.org/2000/svg%22 viewBox=%220 0 20 20%22%3E%3Cpath '
    b'fill=%22%231f5fbf%22 d=%22M3 3h14v11H9l-4 4v-4H3z%22/%3E%3C/svg%3E">'
)
_AGAIN = '<!doctype html><title>…</title><meta http-equiv="refresh" content="0;url={}"><a href="{}">Go on</a>'


def visitor(cookies: Mapping[str, str]) -> str | None:
    """The visitor's id, or None where there is none that this page gave."""
    given = cookies.get(COOKIE, "")
    return given if _ID.fullmatch(given) else None


class Guard:
    """Lets through what the page needs, gives visitors their id, and puts security headers on every answer.

    `title` is the page's, `anonymous` says that nobody signs in, `uploads` whether files may be sent.
    """

    def __init__(self, app: App, *, title: str, anonymous: bool, uploads: bool) -> None:
        self._app = app
        self._head = f"<head><title>{escape(title)}</title>".encode()
        self._anonymous = anonymous
        self._uploads = uploads

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        path = scope["path"].removeprefix(scope.get("root_path", "").rstrip("/"))
        if refusal := self._refusal(scope["method"], path, headers):
            await _answer(send, *refusal)
            return
        page = path in ("", "/")
        new = self._anonymous and page and visitor(cookie_parser(headers.get("cookie", ""))) is None
        if new and headers.get("sec-fetch-site") == "cross-site":
            # a strict cookie is not sent along a link from another site: asked again from here, it is
            here = escape(scope["path"] + (f"?{scope['query_string'].decode('latin-1')}" if scope["query_string"] else ""))
            await _answer(send, 200, _AGAIN.format(here, here), "text/html; charset=utf-8")
            return
        await self._app(_plain(scope) if page else scope, receive, _Answering(send, self._head, new, scope["scheme"] == "https"))

    def _refusal(self, method: str, path: str, headers: Mapping[str, str]) -> tuple[int, str] | None:
        upload = path.startswith("/gradio_api/upload")
        if not _OPEN.fullmatch(path) or (upload and not self._uploads):
            return 404, "Not found"
        if method not in ("GET", "HEAD", "OPTIONS") and _from_elsewhere(headers):
            return 403, "Not from another site"
        return None


class _Answering:
    """Sends an answer on with its headers. A page is held back to its end: its scripts get the nonce that the policy names."""

    def __init__(self, send: Send, head: bytes, new: bool, secure: bool) -> None:
        self._send = send
        self._head = head
        self._new = new
        self._secure = secure
        self._nonce = secrets.token_urlsafe(16)
        self._start: Message | None = None
        self._body = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            kept = [(name, value) for name, value in message["headers"] if name.lower().decode() not in _HEADERS]
            headers = {**_HEADERS, "content-security-policy": _POLICY.format(nonce=self._nonce)}
            message = {**message, "headers": kept + [(name.encode(), value.encode()) for name, value in headers.items()]}
            if dict(message["headers"]).get(b"content-type", b"").startswith(b"text/html"):
                self._start = message
                return
        elif self._start is not None and message["type"] == "http.response.body":
            self._body += message.get("body", b"")
            if not message.get("more_body"):
                await self._page(self._start)
            return
        await self._send(message)

    async def _page(self, start: Message) -> None:
        body = self._body.replace(b"<head>", self._head, 1)
        body = re.sub(rb"<script\b", f'<script nonce="{self._nonce}"'.encode(), body)
        # what would tell of Gradio, with addresses elsewhere; and an icon of its own in the place of a manifest that there is not
        body = re.sub(rb"\s*<meta\s+(?:property|name)=\"(?:og|twitter):[^>]*>", b"", body)
        body = re.sub(rb'<link rel="manifest"[^>]*>', _ICON, body)
        own = {b"content-length": str(len(body)).encode(), b"cache-control": b"no-store"}
        headers = [(name, value) for name, value in start["headers"] if name.lower() not in own] + list(own.items())
        if self._new:
            cookie = f"{COOKIE}={secrets.token_hex(16)}; Path=/; Max-Age={KEPT_S}; HttpOnly; SameSite=Strict"
            headers.append((b"set-cookie", (cookie + ("; Secure" if self._secure else "")).encode()))
        await self._send({**start, "headers": headers})
        await self._send({"type": "http.response.body", "body": body})


async def _answer(send: Send, status: int, text: str, kind: str = "text/plain; charset=utf-8") -> None:
    headers = {**_HEADERS, "content-type": kind, "content-security-policy": "default-src 'none'", "cache-control": "no-store"}
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        }
    )
    await send({"type": "http.response.body", "body": text.encode()})


def _plain(scope: Scope) -> Scope:
    """The request without its query, in which Gradio would look for a stored state of its components."""
    return {**scope, "query_string": b""}


def _from_elsewhere(headers: Mapping[str, str]) -> bool:
    """Whether another site's page made the browser send this; what is no browser sends neither header."""
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None:
        return site not in ("same-origin", "none")
    return origin is not None and urlsplit(origin).netloc != headers.get("host")
