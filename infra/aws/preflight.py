"""Whether a region's GPU nodes can hold what may run on them, said before an update and not by pending pods.

A promotion has two slots. Both at full size is the most that can be asked for; less is enough where a
promotion goes by surge: the traffic that one slot gains, the other loses. Pure: quotas are given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from infra.aws.capacity_pools import spot_nodes
from infra.aws.regions import InstanceType, type_of
from infra.cloud import Capacity, Service

SURGE = 1
"""Pods that a Deployment starts before it ends old ones."""

SERVICE = "ec2"
"""Whose quotas these are, as Service Quotas calls it."""

QUOTAS = {
    ("on-demand", "g"): "L-DB2E81BA",
    ("on-demand", "p"): "L-417A185B",
    ("spot", "g"): "L-3819A6DF",
    ("spot", "p"): "L-7212CCBC",
}
"""EC2's quotas of running vCPUs, by how nodes are bought and by the first letter of their family."""


@dataclass(frozen=True)
class Need:
    """Nodes for both slots at full size, and for one at full size while the other has its minimum."""

    full: int
    surge: int


@dataclass(frozen=True)
class Quota:
    """One of the account's quotas in one region. name: as who was asked calls it."""

    name: str
    vcpus: float


Quotas = Mapping[str, Quota | str]
"""Code -> the quota, or why nobody knows it."""


@dataclass(frozen=True)
class Share:
    """What the declared maximum takes of one quota: nodes, each with the vCPUs of the largest type."""

    code: str
    bought: str
    nodes: int
    vcpus: int


def shares(capacity: Capacity) -> list[Share]:
    """The quotas that the declared maximum takes from."""
    spot = spot_nodes(capacity)
    found = []
    for bought, nodes in (("on-demand", capacity.max - spot), ("spot", spot)):
        for letter in sorted({kind.family[0] for kind in _types(capacity)}):
            if nodes:
                vcpus = max(kind.vcpus for kind in _types(capacity) if kind.family[0] == letter)
                found.append(Share(QUOTAS[bought, letter], bought, nodes, vcpus))
    return found


def quotas(capacity: Capacity) -> dict[str, int]:
    """Quota code -> the vCPUs that the declared maximum takes of it, by the largest type."""
    return {share.code: share.nodes * share.vcpus for share in shares(capacity)}


def room(capacity: Capacity, known: Quotas) -> int:
    """How many nodes can be there, whichever types they are. A quota that nobody knows limits nothing."""
    spot = spot_nodes(capacity)
    left = {"on-demand": capacity.max - spot, "spot": spot}
    for share in shares(capacity):
        quota = known.get(share.code)
        if isinstance(quota, Quota):
            left[share.bought] = min(left[share.bought], int(quota.vcpus // share.vcpus))
    return sum(left.values())


def need(capacity: Capacity, services: Sequence[Service]) -> Need:
    """What the services of one region ask for. No two models share a node in this count: the worst case."""
    full = surge = 0
    for service in services:
        if not service.gpus:
            continue
        each = pods_per_node(capacity, service)
        if each:
            full += _nodes(2 * service.max + SURGE, each)
            surge += _nodes(service.max + service.min + SURGE, each)
    return Need(full, surge)


def pods_per_node(capacity: Capacity, service: Service) -> int:
    """How many pods the smallest of the declared types holds; 0 where none fits."""
    return min((_fits(kind, capacity, service) for kind in _types(capacity)), default=0)


def unknown(region: str, capacity: Capacity, known: Quotas) -> list[str]:
    """The quotas of one region that are taken from and that nobody knows, a line each."""
    return [
        f"{region}: quota {code} is not known ({known.get(code) or 'nobody asked'}): "
        f"{taken} vCPUs are needed at full size"
        for code, taken in quotas(capacity).items()
        if not isinstance(known.get(code), Quota)
    ]


def misfits(region: str, capacity: Capacity, services: Sequence[Service], known: Quotas) -> list[str]:
    """What does not fit in one region, a line each; empty when everything that is known does."""
    small = [_small(share, known) for share in shares(capacity)]
    lines = [line for line in small if line]
    wanted, there = need(capacity, services), room(capacity, known)
    if wanted.full > there:
        limit = f"capacity.max is {there}" if there == capacity.max else f"that leaves {there}"
        slots = f"both slots at full size need {wanted.full} nodes, and {limit}; {_way(wanted, there)}"
        # What the quotas leave stands in one line with them: it is no truer than they are.
        lines = [*lines, slots] if there == capacity.max else ["; ".join([*lines, slots])]
    return [f"{region}: {line}" for line in lines]


def _small(share: Share, known: Quotas) -> str:
    quota, taken = known.get(share.code), share.nodes * share.vcpus
    if not isinstance(quota, Quota) or quota.vcpus >= taken:
        return ""
    return (
        f"quota {share.code} ({quota.name}) allows {quota.vcpus:g} vCPUs, and {share.nodes} {share.bought} "
        f"nodes need {taken}: ask for more, or lower capacity.max"
    )


def _way(wanted: Need, there: int) -> str:
    if wanted.surge <= there:
        return (
            f"a promotion goes by surge: one slot at full size, the other at its minimum need {wanted.surge}"
        )
    return f"not even one slot at full size and the other at its minimum fit: these need {wanted.surge}"


def _types(capacity: Capacity) -> list[InstanceType]:
    return [kind for kind in map(type_of, capacity.instance_types) if kind is not None]


def _fits(kind: InstanceType, capacity: Capacity, service: Service) -> int:
    limits = [int(kind.cpu / service.cpu), int(kind.room_gib / service.memory_gib)]
    if service.gpus:
        limits.append(kind.gpus * capacity.slices // service.gpus)
    return min(limits)


def _nodes(pods: int, each: int) -> int:
    return -(-pods // each)
