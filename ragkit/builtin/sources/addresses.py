"""Which machines a source may ask: what is no public address is refused, also where a public name leads to it."""

from __future__ import annotations

import ipaddress
import socket
from ipaddress import IPv4Address, IPv6Address

from ragkit.errors import SourceError

_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def public_addresses(host: str, port: int, *, allow_private: bool = False) -> tuple[str, ...]:
    """The addresses of `host`. Raises `SourceError` where it has none, or, without `allow_private`, one that is not public."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise SourceError(
            f"the name {host} leads nowhere: {reason}", cure="see that it is spelt correctly, and run again"
        ) from error
    addresses = tuple(dict.fromkeys(str(entry[4][0]) for entry in found))
    for address in addresses:
        if not allow_private and not is_public(address):
            raise SourceError(
                f"{host} is the address {address}, which is not public",
                cure="set `allow_private: true` on the source if it is meant",
            )
    return addresses


def is_public(address: str) -> bool:
    """Whether anyone in the Internet may reach `address`: no private, loopback, link-local or otherwise reserved one."""
    parsed: IPv4Address | IPv6Address = ipaddress.ip_address(address.partition("%")[0])
    inner = _embedded(parsed) if isinstance(parsed, IPv6Address) else None
    return parsed.is_global and not parsed.is_multicast and (inner is None or is_public(str(inner)))


def _embedded(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that a packet to `address` would end at."""
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1]
