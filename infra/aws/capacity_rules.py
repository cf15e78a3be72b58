"""Pairs of settings that no cluster can make work, each with a code. Pure.

A wrong pair does not fail when it is declared but hours later, as pods that wait for ever; so it is refused
before anything is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from infra.aws.capacity_pools import gpus_per_node
from infra.aws.regions import InstanceType, type_of
from infra.cloud import Capacity, Cloud

PARTITIONS = (2, 3, 4, 7)
"""Into how many equal parts MIG cuts a GPU; one part is no partition."""


@dataclass(frozen=True)
class Refusal:
    code: str
    said: str

    def __str__(self) -> str:
        return f"{self.said} [{self.code}]"


def problems(cloud: Cloud) -> list[Refusal]:
    """Every pair that cannot work, in a fixed order; empty when all can."""
    types = [kind for kind in map(type_of, cloud.capacity.instance_types) if kind is not None]
    return [
        *_sharing(cloud.capacity, types),
        *_buying(cloud.capacity),
        *_types(types),
        *_pods(cloud, types),
        *_network(cloud),
    ]


def _sharing(capacity: Capacity, types: list[InstanceType]) -> Iterator[Refusal]:
    if capacity.sharing == "none":
        return
    if capacity.by == "auto":
        yield Refusal(
            "capacity.auto_sharing",
            f"Auto Mode offers whole GPUs only, and sharing is {capacity.sharing}: "
            "use capacity by karpenter or managed, or sharing none",
        )
    if capacity.sharing != "mig":
        return
    whole = sorted({kind.family for kind in types if not kind.mig})
    if whole:
        yield Refusal(
            "capacity.mig_gpu", f"sharing is mig, and the GPUs of {', '.join(whole)} cannot be partitioned"
        )
    if capacity.slices not in PARTITIONS:
        allowed = ", ".join(map(str, PARTITIONS))
        yield Refusal(
            "capacity.mig_slices", f"MIG cuts a GPU into {allowed} equal parts, not {capacity.slices}"
        )


def _buying(capacity: Capacity) -> Iterator[Refusal]:
    if capacity.reservation and capacity.spot_percent == 100:
        yield Refusal(
            "capacity.reserved_spot",
            f"all nodes above min are spot, so the reservation {capacity.reservation} would hold "
            f"{capacity.min} nodes and be paid in full: lower spot_percent or drop the reservation",
        )
    if capacity.reservation and len(capacity.instance_types) > 1:
        yield Refusal(
            "capacity.reserved_types",
            f"a reservation is for one instance type, and instance_types names "
            f"{', '.join(capacity.instance_types)}",
        )


def _types(types: list[InstanceType]) -> Iterator[Refusal]:
    counts = {kind.name: kind.gpus for kind in types}
    if len(set(counts.values())) > 1:
        shown = ", ".join(f"{name} has {count}" for name, count in counts.items())
        yield Refusal(
            "capacity.mixed_gpus",
            f"min and max count nodes, and these have different numbers of GPUs: {shown}",
        )


def _pods(cloud: Cloud, types: list[InstanceType]) -> Iterator[Refusal]:
    """A pod that fits no node, or asks for more than one part of a shared GPU."""
    capacity = cloud.capacity
    for model, service in cloud.services.items():
        if capacity.sharing != "none" and service.gpus > 1:
            yield Refusal(
                "capacity.shared_gpus",
                f"{model} asks for {service.gpus} GPUs a pod, and sharing is {capacity.sharing}: "
                "two parts of a GPU are no bigger GPU",
            )
        if not types:
            continue
        if service.gpus > gpus_per_node(capacity):
            yield Refusal(
                "capacity.pod_gpus",
                f"{model} asks for {service.gpus} GPUs a pod, and a node has {gpus_per_node(capacity)}",
            )
        small = [kind.name for kind in types if service.cpu > kind.cpu or service.memory_gib > kind.room_gib]
        if small:
            yield Refusal(
                "capacity.pod_size",
                f"a pod of {model} ({service.cpu:g} CPUs, {service.memory_gib} GiB) does not fit on "
                f"{', '.join(small)}",
            )


def _network(cloud: Cloud) -> Iterator[Refusal]:
    if cloud.network.nat == "none":
        yield Refusal(
            "network.no_images",
            "nat is none, and the images of Envoy Gateway and KEDA come from public registries, which nodes "
            "then cannot reach: use nat region or zone",
        )
