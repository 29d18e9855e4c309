"""Connections on which no request comes whole: uvicorn itself waits for their headers for ever."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol

HEADERS_S = 10.0
"""Seconds that the first line and the headers of a request may take."""


class Patient(AutoHTTPProtocol):  # type: ignore[misc,valid-type]  # uvicorn chooses between two when it is imported
    """A connection that is closed where no request is at work and none has come for some seconds."""

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Begin to look."""
        super().connection_made(transport)
        self.loop.call_later(HEADERS_S, self._look, None)

    def _look(self, before: Any) -> None:
        if self.transport.is_closing():
            return
        working = self.cycle is not None and not self.cycle.response_complete
        if not working and self.cycle is before:
            self.transport.close()
            return
        self.loop.call_later(HEADERS_S, self._look, self.cycle)
