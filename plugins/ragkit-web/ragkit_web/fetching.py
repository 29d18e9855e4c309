"""One request: in turn and politely, within limits, again where a fault may pass. Redirects are its caller's matter."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

import httpcore
import httpx
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from ragkit.errors import DocumentError
from ragkit_web.addresses import host_of, origin_of
from ragkit_web.bodies import BodyError, read_body
from ragkit_web.connecting import CheckedBackend, PrivateAddressError, Resolve, UnknownHostError, resolve

if TYPE_CHECKING:
    from ragkit_web import WebOptions

_PASSING = frozenset((408, 425, 429, 500, 502, 503, 504))
_PATIENCE = 5
"""After so many pages in a row that got no answer, a host is left alone until the next ingest."""

_BACKOFF_MAX_S = 30.0
_OPEN_HOSTS = 32
_ACCEPT = "text/html,application/xhtml+xml,text/markdown;q=0.9,text/plain;q=0.8,*/*;q=0.1"


@dataclass(frozen=True)
class Clock:
    """How time is told and spent; tests bring their own."""

    now: Callable[[], float] = time.monotonic
    today: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep


@dataclass(frozen=True)
class Answer:
    """What a host said. `headers` have small letters; the body of what is no 200 is not read."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True)
class Request:
    """What to ask for. `refuse` says from the content type why not to read the body, or nothing.

    After one that is not `paced`, the host may be asked again at once.
    """

    url: str
    max_bytes: int
    etag: str = ""
    modified: str = ""
    refuse: Callable[[str], str] = lambda content_type: ""
    paced: bool = True


class _PassingError(Exception):
    """A fault that may pass."""

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.wait = wait


@dataclass
class _Host:
    """What is known of a host in this ingest."""

    backend: CheckedBackend
    pool: httpcore.ConnectionPool
    delay: float
    next_at: float = 0.0
    failures: int = 0
    down: str = ""
    used: int = field(default=0)


class Fetcher:
    """Asks hosts for pages. To be closed."""

    def __init__(
        self, options: WebOptions, trusted: frozenset[str], *, resolve: Resolve = resolve, clock: Clock | None = None
    ) -> None:
        """`trusted` are the origins that get the secret headers."""
        self._options = options
        self._trusted = trusted
        self._resolve = resolve
        self._clock = clock or Clock()
        self._hosts: dict[str, _Host] = {}
        self._requests = 0
        self._tls: ssl.SSLContext | None = None

    def close(self) -> None:
        """Let all connections go."""
        for host in self._hosts.values():
            host.pool.close()

    def slow_down(self, url: str, delay: float) -> None:
        """Leave the host of `url` at least `delay` seconds between requests, as far as `max_wait` has it."""
        host = self._host(url)
        host.delay = max(host.delay, min(delay, self._options.max_wait))

    def give_up(self, url: str, reason: str) -> None:
        """Ask the host of `url` nothing more in this ingest."""
        self._host(url).down = reason

    def down(self, url: str) -> str:
        """Why the host of `url` is asked nothing more, if so."""
        host = self._hosts.get(host_of(url))
        return host.down if host else ""

    def get(self, request: Request) -> Answer:
        """What the host answers. Raises `DocumentError` where it gives none that can be used."""
        host = self._host(request.url)
        if host.down:
            raise _failed(request.url, host.down, "run again later")
        retrying = Retrying(
            stop=stop_after_attempt(self._options.retries + 1),
            wait=_wait,
            retry=retry_if_exception_type(_PassingError),
            sleep=self._clock.sleep,
            reraise=True,
        )
        try:
            answer: Answer = retrying(self._ask, host, request)
        except _PassingError as error:
            self._count(host, error.reason)
            raise _failed(request.url, error.reason, "run again later") from error
        except UnknownHostError as error:
            host.down = "the name server knows no such host"
            raise _failed(request.url, host.down, "correct the address") from error
        host.failures = 0
        return answer

    def _count(self, host: _Host, reason: str) -> None:
        host.failures += 1
        if host.failures >= _PATIENCE and not host.down:
            host.down = f"the host gave no answer {_PATIENCE} times in a row ({reason}), so it is left alone in this ingest"

    def _ask(self, host: _Host, request: Request) -> Answer:
        """One attempt."""
        self._take_turn(host)
        host.backend.deadline = self._clock.now() + self._options.max_seconds
        try:
            answer = self._exchange(host, request)
        except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError) as error:
            if self._clock.now() >= host.backend.deadline:
                told = f"takes longer than max_seconds ({self._options.max_seconds:g})"
                self._count(host, told)
                raise _failed(request.url, told, "raise `max_seconds` of the source, or leave it out with `exclude`") from error
            if isinstance(error.__cause__ or error.__context__, ssl.SSLCertVerificationError):
                raise _failed(request.url, f"its certificate does not hold: {error}", "use the name it is made for") from error
            raise _PassingError(self._told(error)) from error
        except BodyError as error:
            raise _failed(request.url, error.reason, error.cure) from error
        except PrivateAddressError as error:
            told = f"leads to {error}, which is no address of the internet"
            raise _failed(request.url, told, "if you trust the pages, set `allow_private: true` on the source") from error
        finally:
            host.next_at = self._clock.now() + (host.delay if request.paced else 0)
        if answer.status in _PASSING:
            self._raise_passing(host, request.url, answer)
        return answer

    def _raise_passing(self, host: _Host, url: str, answer: Answer) -> None:
        reason = f"the host answers HTTP {answer.status}"
        wait = _retry_after(answer.headers.get("retry-after", ""), self._clock.today())
        if wait is not None and wait > self._options.max_wait:
            host.down = f"{reason} and asks to come back in {wait:,.0f} s, longer than max_wait ({self._options.max_wait:g})"
            raise _failed(url, host.down, "run again later, or raise `max_wait` of the source")
        raise _PassingError(reason, wait)

    def _exchange(self, host: _Host, request: Request) -> Answer:
        timeout = dict.fromkeys(("connect", "read", "write", "pool"), self._options.timeout)
        with host.pool.stream("GET", request.url, headers=self._headers(request), extensions={"timeout": timeout}) as response:
            headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
            if response.status != 200:
                return Answer(response.status, headers)
            if told := request.refuse(headers.get("content-type", "")):
                raise BodyError(told, "leave it out with `exclude` of the source")
            body = read_body(response.iter_stream(), headers, request.max_bytes)
            return Answer(response.status, headers, body)

    def _headers(self, request: Request) -> list[tuple[str, str]]:
        own = {"User-Agent": self._options.user_agent, "Accept": _ACCEPT, "Accept-Encoding": "gzip"}
        if request.etag:
            own["If-None-Match"] = request.etag
        if request.modified:
            own["If-Modified-Since"] = request.modified
        if origin_of(request.url) in self._trusted:
            own |= {name: value.get_secret_value() for name, value in (self._options.headers or {}).items()}
        return list(own.items())

    def _take_turn(self, host: _Host) -> None:
        """Wait until the host may be asked again."""
        wait = host.next_at - self._clock.now()
        if wait > 0:
            self._clock.sleep(wait)

    def _host(self, url: str) -> _Host:
        """The host of `url`. Only the hosts used last keep their connection."""
        name = host_of(url)
        host = self._hosts.get(name)
        if host is None:
            backend = CheckedBackend(self._resolve, self._clock.now, allow_private=self._options.allow_private)
            self._tls = self._tls or httpx.create_ssl_context()
            pool = httpcore.ConnectionPool(
                ssl_context=self._tls, max_connections=1, keepalive_expiry=60.0, network_backend=backend
            )
            host = self._hosts[name] = _Host(backend, pool, self._options.delay)
        self._requests += 1
        host.used = self._requests
        connected = [one for one in self._hosts.values() if one.pool.connections]
        if len(connected) > _OPEN_HOSTS:
            min(connected, key=lambda one: one.used).pool.close()
        return host

    def _told(self, error: Exception) -> str:
        if isinstance(error, httpcore.ConnectTimeout):
            return f"the host takes no connection within {self._options.timeout:g} s"
        if isinstance(error, httpcore.TimeoutException):
            return f"the host says nothing for {self._options.timeout:g} s"
        if isinstance(error, httpcore.ConnectError):
            return f"the host cannot be reached: {error}"
        return f"the connection broke off: {error}" if str(error) else "the connection broke off"


def _failed(url: str, reason: str, cure: str) -> DocumentError:
    return DocumentError(f"{url}: {reason}", uri=url, cure=cure)


def _wait(state: RetryCallState) -> float:
    """What the host asks for, else exponentially longer with full jitter."""
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, _PassingError) and error.wait is not None:
        return error.wait
    return wait_random_exponential(multiplier=1, max=_BACKOFF_MAX_S)(state)


def _retry_after(value: str, today: float) -> float | None:
    """The seconds of a `Retry-After` header, be it a number or a date; None where it has none."""
    value = value.strip()
    if value.isdecimal() and len(value) < 12:
        return float(value)
    try:
        then = parsedate_to_datetime(value)
    except (ValueError, TypeError):
        return None
    moment = then if then.tzinfo else then.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.fromtimestamp(today, UTC)).total_seconds())
