"""Where machines share a ledger: bringing this machine's own copies of the views up to date, at once and from then on."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from ragkit.errors import RagkitError

_logger = logging.getLogger("ragkit")

_LOOK_S = 2.0
_SHARE = 10
"""After work that took a second, so many seconds are left to the questions: some stores are rebuilt as a whole."""


class Follower:
    """Does `step` again and again in a thread of its own, until it is closed.

    `step` tells whether there was anything to do. After one that had, the next comes the later the longer it took. What it
    cannot do is logged once, until it can.
    """

    def __init__(self, step: Callable[[], bool]) -> None:
        self._step = step
        self._told = ""
        self._leave = threading.Event()
        self._thread = threading.Thread(target=self._work, name="ragkit-follower", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End it; waits for a step that is being done."""
        self._leave.set()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _work(self) -> None:
        pause = _LOOK_S
        while not self._leave.wait(pause):
            begun = time.monotonic()
            busy = self._attempt()
            pause = max(_LOOK_S, _SHARE * (time.monotonic() - begun)) if busy else _LOOK_S

    def _attempt(self) -> bool:
        try:
            done = self._step()
        except Exception as error:  # whatever it is: else this machine would stay behind until it is started again
            told = error.message if isinstance(error, RagkitError) else repr(error)
            if self._told != told:
                trace = None if isinstance(error, RagkitError) else error
                _logger.warning("this machine's index does not follow for now: %s", told, exc_info=trace)
            self._told = told
            return True
        self._told = ""
        return done
