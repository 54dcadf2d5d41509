"""Addresses of clients: ranges of them, and who a request that came through proxies is from.

An address is text, as the server in front of us gives it: empty where it is not known, and then in no range.

Source: HTTP API, section 16.7; reliability, P21.
"""

import re
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Range = IPv4Network | IPv6Network


def parse_range(text: str) -> Range:
    """Return the range that an address, a CIDR block or ``192.168.0.*`` stands for. Raises ValueError.

    >>> str(parse_range("10.1.2.3")), str(parse_range("10.1.2.3/8")), str(parse_range("192.168.0.*"))
    ('10.1.2.3/32', '10.0.0.0/8', '192.168.0.0/24')
    """
    try:
        return ip_network(_as_block(text), strict=False)
    except ValueError:
        raise ValueError(f"'{text}' is no address, no CIDR block, and not of the form 192.168.0.*") from None


def _as_block(text: str) -> str:
    stars = re.fullmatch(r"((?:\d+\.){1,3})\*(?:\.\*)*", text)
    if stars is None or text.count(".") != 3:
        return text
    fixed = stars[1].count(".")
    return f"{stars[1]}{'.'.join('0' * (4 - fixed))}/{8 * fixed}"


def is_in(address: str, ranges: Sequence[Range]) -> bool:
    """Tell whether an address is in one of these ranges; what is no address is in none.

    >>> is_in("192.168.0.7", [parse_range("192.168.0.*")]), is_in("::ffff:10.0.0.1", [parse_range("10.0.0.1")])
    (True, True)
    """
    found = _parsed(address)
    return found is not None and any(found in each for each in ranges)


def client_of(peer: str, forwarded: str, proxies: Sequence[Range]) -> str:
    """Return whom a request is from: the sender, or behind proxies we know, what they say in X-Forwarded-For.

    Each proxy adds whom it was sent a request by, so the header is read from its end, for as long as it was
    written by a proxy of ours; what stands before that is anybody's claim. Empty if a proxy says what is no address.

    >>> client_of("10.0.0.1", "1.1.1.1, 2.2.2.2", [parse_range("10.0.0.1")])
    '2.2.2.2'
    """
    address, said = peer, [each.strip() for each in forwarded.split(",")] if forwarded else []
    while said and is_in(address, proxies):
        address = said.pop()
    return address if address == peer or _parsed(address) else ""


def _parsed(address: str) -> IPv4Address | IPv6Address | None:
    try:
        found = ip_address(address)
    except ValueError:
        return None
    # A socket for both families has IPv4 clients as ::ffff:192.0.2.1.
    return getattr(found, "ipv4_mapped", None) or found
