"""Faults of servers: what to say, and when to try again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from ragkit.errors import ComponentError

T = TypeVar("T")

_LONGEST_DETAIL = 300


@dataclass(frozen=True)
class Fault:
    """What a client's exception means. `again` says whether trying again can help, `after_s` how long the server asks to wait."""

    error: ComponentError
    again: bool = False
    after_s: float | None = None


def unreachable(component: str, address: str, detail: object = "") -> Fault:
    """Nobody answers at `address`, the connection broke, or the answer took too long."""
    told = f": {str(detail)[:_LONGEST_DETAIL]}" if str(detail) else ""
    error = ComponentError(
        f"{component} at {address} does not answer{told}",
        component=component,
        cure=f"start the server, correct the address in `vector_store`, or raise its `timeout`; then run again: "
        f"what {component} already has is kept",
    )
    return Fault(error, again=True)


def http_fault(component: str, address: str, status: int, detail: object = "", retry_after: str | None = None) -> Fault:
    """What an HTTP status other than 2xx means, with the server's own words in `detail`.

    429 and 5xx are worth another try; a `Retry-After` in seconds says when.
    """
    meaning, cure = _MEANINGS.get(status, _MEANINGS.get(status // 100 * 100, ("refuses the request", "")))
    told = f": {str(detail)[:_LONGEST_DETAIL]}" if str(detail) else ""
    error = ComponentError(f"{component} at {address} {meaning} (HTTP {status}){told}", component=component, cure=cure)
    seconds = float(retry_after) if retry_after is not None and retry_after.strip().isdecimal() else None
    return Fault(error, again=status == 429 or status >= 500, after_s=seconds)


def insist(call: Callable[[], T], judge: Callable[[Exception], Fault | None], *, patience_s: float = 30.0) -> T:
    """Call, and call again while the fault is worth it and the next try begins within `patience_s` seconds of the first.

    `judge` says what an exception means; None is no fault of the server and is raised as it is. Waits grow from 0.2 s to 10 s
    with jitter, or are what the server asks for. Only for calls that may be repeated. Raises the fault's `ComponentError`.
    """
    from tenacity import Retrying, retry_if_exception, stop_before_delay, wait_random_exponential

    faults: dict[int, Fault | None] = {}

    def fault_of(error: BaseException) -> Fault | None:
        if not isinstance(error, Exception):
            return None
        return faults.setdefault(id(error), judge(error))

    jitter = wait_random_exponential(multiplier=0.2, max=10.0)

    def wait(state: Any) -> float:
        fault = fault_of(state.outcome.exception())
        return fault.after_s if fault is not None and fault.after_s is not None else jitter(state)

    def again(error: BaseException) -> bool:
        fault = fault_of(error)
        return fault is not None and fault.again

    try:
        return Retrying(retry=retry_if_exception(again), wait=wait, stop=stop_before_delay(patience_s), reraise=True)(call)
    except Exception as error:
        fault = fault_of(error)
        if fault is None:
            raise
        raise fault.error from error


_KEY = "check `api_key` and what it may do"
_LATER = "wait, or raise the quota with the provider; then run again: what was written is kept"
_MEANINGS = {
    400: ("does not understand the request", "check that the server's version suits this plugin"),
    401: ("does not know the key", _KEY),
    403: ("refuses the key", _KEY),
    404: (
        "does not have the collection any more",
        "it was deleted behind ragkit's back: run `ragkit views repair`, which builds it anew",
    ),
    408: ("took too long", "raise `timeout`"),
    409: ("refuses because of a conflict", "run again once the other process is done"),
    413: ("finds a record too large", "make chunks or their metadata smaller"),
    422: ("finds the request invalid", "check the options of the store"),
    429: ("is over its quota", _LATER),
    500: ("failed", "look at the server's log; then run again: what was written is kept"),
    503: ("is not ready", "wait until the server has started; then run again"),
}
