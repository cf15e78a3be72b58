"""Whether a region's GPU nodes can hold what may run on them, said before an update and not by pending pods.

A promotion has two slots. Both at full size is the most that can be asked for; less is enough where a
promotion goes by surge: the traffic that one slot gains, the other loses. Pure: quotas are given as numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from infra.aws.capacity_pools import spot_nodes
from infra.aws.regions import InstanceType, type_of
from infra.cloud import Capacity, Service

SURGE = 1
"""Pods that a Deployment starts before it ends old ones."""

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


def quotas(capacity: Capacity) -> dict[str, int]:
    """Quota code -> the vCPUs that the declared maximum takes of it, by the largest type."""
    taken: dict[str, int] = {}
    spot = spot_nodes(capacity)
    for bought, nodes in (("on-demand", capacity.max - spot), ("spot", spot)):
        for letter in sorted({kind.family[0] for kind in _types(capacity)}):
            if nodes:
                vcpus = max(kind.vcpus for kind in _types(capacity) if kind.family[0] == letter)
                taken[QUOTAS[bought, letter]] = nodes * vcpus
    return taken


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


def preflight(
    region: str, capacity: Capacity, services: Sequence[Service], quota: Mapping[str, int | None]
) -> list[str]:
    """What does not fit in one region, a line each; empty when everything does.

    quota: code -> vCPUs allowed; None, or a code that is missing, where nobody could ask.
    """
    lines = []
    for code, taken in quotas(capacity).items():
        allowed = quota.get(code)
        if allowed is None:
            lines.append(f"{region}: quota {code} is not known: {taken} vCPUs are needed at full size")
        elif allowed < taken:
            lines.append(
                f"{region}: quota {code} allows {allowed} vCPUs, and {capacity.max} nodes need {taken}: "
                "ask for more, or lower capacity.max"
            )
    wanted = need(capacity, services)
    if wanted.full <= capacity.max:
        return lines
    said = f"{region}: both slots at full size need {wanted.full} nodes, and capacity.max is {capacity.max}"
    if wanted.surge <= capacity.max:
        way = (
            f"a promotion goes by surge: one slot at full size, the other at its minimum need {wanted.surge}"
        )
    else:
        way = f"not even one slot at full size and the other at its minimum fit: these need {wanted.surge}"
    return [*lines, f"{said}; {way}"]


def _types(capacity: Capacity) -> list[InstanceType]:
    return [kind for kind in map(type_of, capacity.instance_types) if kind is not None]


def _fits(kind: InstanceType, capacity: Capacity, service: Service) -> int:
    limits = [int(kind.cpu / service.cpu), int(kind.room_gib / service.memory_gib)]
    if service.gpus:
        limits.append(kind.gpus * capacity.slices // service.gpus)
    return min(limits)


def _nodes(pods: int, each: int) -> int:
    return -(-pods // each)
