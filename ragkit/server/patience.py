"""Connections on which no request comes whole: uvicorn itself waits for their headers for ever."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.auto import AutoHTTPProtocol

HEADERS_S = 10.0
"""Seconds that the first line and the headers of a request may take, from its first byte, or from the connection on."""


class Patient(AutoHTTPProtocol):  # type: ignore[misc,valid-type]  # uvicorn chooses between two when it is imported
    """A connection that is closed where a request has begun to come and does not come to the end of its headers.

    One that has had an answer and is silent since is uvicorn's own matter (`timeout_keep_alive`).
    """

    _clock: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Wait for the first request."""
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._stop()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Wait for the rest of a request, unless it is at work now."""
        super().data_received(data)
        if self._at_work():
            self._stop()
        else:
            self._wait()

    def _at_work(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _wait(self) -> None:
        if self._clock is None:
            self._clock = self.loop.call_later(HEADERS_S, self._give_up)

    def _stop(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None

    def _give_up(self) -> None:
        self._clock = None
        if not self._at_work() and not self.transport.is_closing():
            self.transport.close()
