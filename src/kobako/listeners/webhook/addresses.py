"""Addresses a webhook may be sent to: those of the internet, so that nobody reaches by it what is behind the server.

A name is resolved first, and the connection made to an address that was looked at: a name that is resolved once more
might lead elsewhere.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Sequence
from typing import Final

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")


class Refused(Exception):
    """A name leads to no address that may be used. Says which."""


async def resolve(host: str, port: int, *, allow_private: bool) -> Sequence[str]:
    """Return the addresses of a host that may be used, in the order of trial. Raises Refused, OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(each[4][0]) for each in found))
    allowed = [each for each in addresses if allow_private or is_public(each)]
    if not allowed:
        raise Refused(f"{host} is {', '.join(addresses)}: addresses that are not public need 'allow_private'")
    return allowed


def is_public(text: str) -> bool:
    """Tell whether an address is one of the internet; of one that holds another, whether both are.

    >>> is_public("9.9.9.9"), is_public("10.1.2.3"), is_public("::ffff:127.0.0.1"), is_public("224.0.0.1")
    (True, False, False, False)
    """
    address = ipaddress.ip_address(text)
    return all(each.is_global and not each.is_multicast for each in (address, *_within(address)))


def _within(address: Address) -> Sequence[Address]:
    """Return the IPv4 addresses that one of IPv6 leads to."""
    if isinstance(address, ipaddress.IPv4Address):
        return []
    if address.ipv4_mapped:
        return [address.ipv4_mapped]
    found = [address.sixtofour, *(address.teredo or ())]
    if address in NAT64:
        found.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return [each for each in found if each]
