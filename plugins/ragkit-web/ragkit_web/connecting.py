"""Connections that only reach addresses which were checked, and that end in time.

A name is resolved once per connection, all its addresses are checked, and the connection goes to one of those: another
answer of the name server a moment later (DNS rebinding) changes nothing, and neither does a redirect.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import httpcore

Resolve = Callable[[str, int], Sequence[str]]
"""The addresses of a host and port. Raises `socket.gaierror`."""

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_COMPATIBLE = ipaddress.IPv6Network("::/96")
_MOST_ADDRESSES = 4


class PrivateAddressError(Exception):
    """The host's address is not one of the internet's."""


class UnknownHostError(Exception):
    """The name server knows no such host."""


def resolve(host: str, port: int) -> Sequence[str]:
    """Ask the system's resolver."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[4][0]) for address in found))


def is_public(address: str) -> bool:
    """Whether an IP address is one of the internet's, also if it carries another address within (such as `::ffff:10.0.0.1`)."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    inner = _inner(ip) if isinstance(ip, ipaddress.IPv6Address) else None
    if inner is not None:
        return is_public(str(inner))
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or ip.is_unspecified or ip.is_loopback or ip.is_link_local)


def _inner(ip: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    if ip.ipv4_mapped is not None:
        return ip.ipv4_mapped
    if ip.sixtofour is not None:
        return ip.sixtofour
    if ip.teredo is not None:
        return ip.teredo[1]
    return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF) if ip in _NAT64 or ip in _COMPATIBLE else None


class CheckedBackend(httpcore.NetworkBackend):
    """Connects to checked addresses. What is asked for has to be over at `deadline`, on `clock`."""

    def __init__(self, resolve: Resolve, clock: Callable[[], float], *, allow_private: bool) -> None:
        self._resolve = resolve
        self._clock = clock
        self._allow_private = allow_private
        self._tcp = httpcore.SyncBackend()
        self.deadline = float("inf")

    def left(self, timeout: float | None) -> float:
        """The seconds that something may take which has `timeout` for itself."""
        left = self.deadline - self._clock()
        if left <= 0:
            raise httpcore.ReadTimeout("out of time")
        return left if timeout is None else min(timeout, left)

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first address of `host` that takes the connection."""
        refused: Exception | None = None
        for address in self._addresses(host, port)[:_MOST_ADDRESSES]:
            try:
                stream = self._tcp.connect_tcp(address, port, self.left(timeout), local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                refused = error
            else:
                return _TimedStream(stream, self)
        raise refused or httpcore.ConnectError("no address")

    def connect_unix_socket(self, path: str, timeout: float | None = None, socket_options: Any = None) -> httpcore.NetworkStream:
        """Never asked for."""
        raise httpcore.ConnectError("no sockets but those of the network")

    def sleep(self, seconds: float) -> None:
        """Never asked for: retries are the fetcher's."""

    def _addresses(self, host: str, port: int) -> Sequence[str]:
        try:
            addresses = self._resolve(host, port)
        except socket.gaierror as error:
            if error.errno == socket.EAI_AGAIN:
                raise httpcore.ConnectError("the name server does not answer") from error
            raise UnknownHostError from error
        except UnicodeError as error:
            raise UnknownHostError from error
        for address in addresses:
            if not self._allow_private and not is_public(address):
                raise PrivateAddressError(address)
        return addresses


class _TimedStream(httpcore.NetworkStream):
    """A connection whose every step ends by the backend's deadline, however slowly the bytes drip."""

    def __init__(self, stream: httpcore.NetworkStream, backend: CheckedBackend) -> None:
        self._stream = stream
        self._backend = backend

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._backend.left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._backend.left(timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        secured = self._stream.start_tls(ssl_context, server_hostname, self._backend.left(timeout))
        return _TimedStream(secured, self._backend)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
