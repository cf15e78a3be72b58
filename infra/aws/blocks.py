"""Which part of a VPC's block each subnet gets. Pure.

A block is cut into eighths. A zone's private subnet is the eighth of the zone's own number (`euc1-az2` has
the second), so that adding, dropping or reordering zones moves no other subnet. The seventh eighth is cut
into eighths again for the public subnets, in the same way. The last is free.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass

ZONES = 6
"""The most zones that a region has."""

PUBLIC = 6
"""The index of the eighth that holds the public subnets."""


@dataclass(frozen=True)
class Blocks:
    """One zone's blocks, in CIDR notation. private: nodes and pods; public: load balancers and NAT."""

    zone: str
    private: str
    public: str


def plan(cidr: str, zones: Sequence[str]) -> tuple[Blocks, ...]:
    """The blocks of each zone, in the zones' order.

    Raises ValueError for a zone id without a number from 1 to 6, and for a block too small to be cut.
    """
    eighths = list(ipaddress.IPv4Network(cidr).subnets(prefixlen_diff=3))
    public = list(eighths[PUBLIC].subnets(prefixlen_diff=3))
    return tuple(
        Blocks(zone, str(eighths[number(zone) - 1]), str(public[number(zone) - 1])) for zone in zones
    )


def number(zone: str) -> int:
    """`euc1-az2` -> 2."""
    found = re.fullmatch(r"[a-z0-9]+-az([1-6])", zone)
    if found is None:
        raise ValueError(f"{zone!r} is not the id of a zone")
    return int(found.group(1))


def short(zone: str) -> str:
    """`euc1-az2` -> `az2`: what tells a zone from the others of its region."""
    return zone.rsplit("-", 1)[1]
