"""Who may ask what: the key, its role, its rate; and that no page of another origin asks in somebody's name."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from ragkit.server.errors import Refused
from ragkit.server.keys import Caller, Keys, Role
from ragkit.server.limits import RateLimit

GUARDED = ("/v1", "/search", "/ask", "/documents", "/runs", "/metrics")
"""What needs a key where there are keys. The page has a sign-in of its own; health tells nothing."""
_WRITING = "/documents"
_SAFE = ("GET", "HEAD", "OPTIONS")
ANYBODY = Caller("anonymous", "write")


class Access:
    """ASGI middleware that decides before anything of a request's body is read. The caller stands in `scope["state"]`."""

    def __init__(self, app: ASGIApp, *, keys: Keys, rate: RateLimit, origins: Sequence[str]) -> None:
        self._app = app
        self._keys = keys
        self._rate = rate
        self._origins = frozenset(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        try:
            self._check(scope)
        except Refused as refused:
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
                return
            await refused.response()(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _check(self, scope: Scope) -> None:
        headers, path = Headers(scope=scope), scope["path"]
        method = scope.get("method", "GET")
        if not self._keys and not is_local(headers.get("host", "")):
            raise Refused(421, "without keys this server answers to localhost alone", "wrong_host")
        origin = headers.get("origin")
        if method not in _SAFE and origin and origin not in self._origins and urlsplit(origin).netloc != headers.get("host"):
            raise Refused(403, "a page of another origin may not do this; see `serve.cors`", "wrong_origin")
        if not any(path == guarded or path.startswith(f"{guarded}/") for guarded in GUARDED) or method == "OPTIONS":
            return
        writes = path.startswith(_WRITING) and method not in _SAFE
        caller = self._caller(headers, "write" if writes else "read")
        scope.setdefault("state", {})["caller"] = caller
        address = scope.get("client") or ("", 0)
        self._rate.check(caller.name if self._keys else str(address[0]))

    def _caller(self, headers: Headers, role: Role) -> Caller:
        if not self._keys:
            return ANYBODY
        scheme, _, key = headers.get("authorization", "").partition(" ")
        caller = self._keys.caller(key.strip()) if scheme.lower() == "bearer" else None
        if caller is None:
            raise Refused(
                401,
                "this needs a key that is valid: `Authorization: Bearer …`",
                "invalid_api_key",
                headers={"WWW-Authenticate": "Bearer"},
            )
        if not caller.may(role):
            raise Refused(403, f"the key {caller.name!r} may {caller.role}, and this needs {role!r}", "missing_role")
        return caller


def is_local(host: str) -> bool:
    """Whether a `Host` header or an address to listen at names this machine, reachable from it alone."""
    bare = host.removeprefix("[").partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    if bare.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(bare).is_loopback
    except ValueError:
        return False
