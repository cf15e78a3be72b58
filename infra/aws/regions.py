"""What is known of AWS regions and GPU instance types without asking an account: a loader of regions.toml.

A preview may not depend on calls that only some people may make, so these facts are kept here, with their
source. Pure.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path

SYSTEM_CPU = 0.5
SYSTEM_MEMORY = 0.1
"""The share of a node's memory that kubelet, system and evictions keep; no type loses more."""


@dataclass(frozen=True)
class Region:
    """zones: three zone ids. families: GPU instance families offered. without: their types that are not."""

    name: str
    jurisdiction: str
    zones: tuple[str, ...]
    families: tuple[str, ...]
    without: tuple[str, ...]


@dataclass(frozen=True)
class InstanceType:
    """gpus: of one node; gpu_memory_gib: of one GPU; vcpus: what EC2's quotas count; mig: the name under
    which the node's operating system partitions this GPU, empty where it cannot."""

    name: str
    gpu: str
    gpus: int
    gpu_memory_gib: int
    vcpus: int
    memory_gib: int
    mig: str

    @property
    def family(self) -> str:
        return self.name.split(".")[0]

    @property
    def cpu(self) -> float:
        """What is left for pods: half a CPU is kept by the system and what runs on every node."""
        return self.vcpus - SYSTEM_CPU

    @property
    def room_gib(self) -> float:
        """The memory that is left for pods."""
        return self.memory_gib * (1 - SYSTEM_MEMORY)


@cache
def known() -> tuple[Mapping[str, Region], Mapping[str, InstanceType]]:
    """All regions and all GPU instance types, by name."""
    data = tomllib.loads(Path(__file__).with_name("regions.toml").read_text())
    regions = {
        name: Region(
            name,
            each["jurisdiction"],
            tuple(each["zones"]),
            tuple(each["gpus"]),
            tuple(each.get("without", ())),
        )
        for name, each in data["regions"].items()
    }
    types = {
        f"{family}.{size}": InstanceType(
            f"{family}.{size}", each["gpu"], gpus, each["memory_gib"], vcpus, memory, each.get("mig", "")
        )
        for family, each in data["families"].items()
        for size, (gpus, vcpus, memory) in each["types"].items()
    }
    return regions, types


def region_of(name: str) -> Region | None:
    """None for a region that is not known."""
    return known()[0].get(name)


def type_of(name: str) -> InstanceType | None:
    """None for a type that has no NVIDIA GPU behind x86, or is not known."""
    return known()[1].get(name)


def is_offered(instance_type: str, region: str) -> bool:
    """Whether at least one of the region's three zones offers the type."""
    place, kind = region_of(region), type_of(instance_type)
    return (
        place is not None
        and kind is not None
        and kind.family in place.families
        and kind.name not in place.without
    )


def region_problems(names: Sequence[str], instance_types: Sequence[str]) -> list[str]:
    """What is wrong with the stack's regions and the GPU types that each is to offer, one line each."""
    regions, types = known()
    problems = []
    for name in names:
        if name not in regions:
            problems.append(f"{name!r} is no region that Lockstep knows{_did_you_mean(name, list(regions))}")
    for kind in instance_types:
        if kind not in types:
            close = _did_you_mean(kind, list(types))
            problems.append(f"{kind!r} is no instance type with an NVIDIA GPU behind x86{close}")
            continue
        for name in names:
            if name in regions and not is_offered(kind, name):
                has = ", ".join(regions[name].families) or "none"
                problems.append(f"{name} does not offer {kind}; its GPU families: {has}")
    return problems


def jurisdiction_problems(model: str, jurisdictions: Sequence[str], regions: Sequence[str]) -> list[str]:
    """A model whose jurisdictions exclude a region where the table places it, one line each."""
    if not jurisdictions:
        return []
    known_ones = {place.jurisdiction for place in known()[0].values()}
    unknown = [each for each in jurisdictions if each not in known_ones]
    return [
        *(f"{model}: no region is in {each!r}; known: {', '.join(sorted(known_ones))}" for each in unknown),
        *_outside(model, jurisdictions, regions),
    ]


def _outside(model: str, jurisdictions: Sequence[str], regions: Sequence[str]) -> list[str]:
    return [
        f"{model} may lie in {', '.join(jurisdictions)} only, and {place.name} is in {place.jurisdiction}"
        for place in map(region_of, regions)
        if place is not None and place.jurisdiction not in jurisdictions
    ]


def _did_you_mean(name: str, words: Sequence[str]) -> str:
    close = get_close_matches(name, words, n=1)
    return f"; did you mean {close[0]}?" if close else ""
