"""Where one region's resources hang in the tree: under one component, after the gate.

The preview then reads by region, and nothing in a region starts before what the whole stack waits for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi

from infra.aws.ground import Ground


class Region(pulumi.ComponentResource):
    """All of one region: network, cluster, controllers and gateway."""

    def __init__(self, name: str) -> None:
        super().__init__("lockstep:infra:Region", f"region-{name}")


@dataclass(frozen=True)
class Site:
    """after: what every AWS resource of the region waits for, the gate above all."""

    ground: Ground
    region: str
    component: Region
    after: tuple[pulumi.Resource, ...]

    @property
    def cluster(self) -> str:
        """The cluster's name, known before there is one: subnets and log groups carry it."""
        return self.name()

    def name(self, *parts: str) -> str:
        """A physical name that no other region has: names of roles are one space for all regions."""
        return self.ground.name(self.region, *parts)

    def tags(self, name: str, **more: str) -> dict[str, str]:
        """The tags that make a resource readable in the console."""
        return {"Name": f"{self.name()}-{name}", **more}

    def options(self, *, after: Sequence[pulumi.Resource] = (), **more: Any) -> pulumi.ResourceOptions:
        """The options of every AWS resource of the region."""
        return self.ground.options(after=[*self.after, *after], parent=self.component, **more)
