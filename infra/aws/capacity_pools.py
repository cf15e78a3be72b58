"""Which pools of GPU nodes a capacity means, and what each says to Kubernetes. Pure.

A pool is a number of nodes of one buying option: `base` is always there, `demand` and `spot` come and go with
the pods. Together they never have more than max nodes, but for one that replaces another.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

from infra.aws.regions import type_of
from infra.cloud import Capacity

TAINT = {"key": "nvidia.com/gpu", "effect": "NoSchedule"}
GPU = "nvidia.com/gpu"
POOL_LABEL = "lockstep-pool"
CLASS = "gpu"
DISK = "200Gi"
"""Room for images and weights: a release and its serving image take tens of GiB."""

DRAIN = "15m"
"""How long a node waits for its pods when it goes: a destroy must end although a disruption budget holds."""

EXPIRE = "336h"
"""Two weeks: a node's software is never older. Auto Mode ends nodes after three."""

IDLE = "10m"
CLASSES = {
    "auto": {"group": "eks.amazonaws.com", "kind": "NodeClass", "name": CLASS},
    "karpenter": {"group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": CLASS},
}


@dataclass(frozen=True)
class Pool:
    """least, most: nodes. buying: reserved, on-demand or spot, in the order in which they are tried."""

    name: str
    least: int
    most: int
    buying: tuple[str, ...]

    @property
    def always(self) -> bool:
        return self.least == self.most


def pools(capacity: Capacity) -> list[Pool]:
    """The pools of Auto Mode and Karpenter. A pool cannot change hands, so each way has its own names:
    when the way changes, new nodes are there before the old ones are drained."""
    spot = spot_nodes(capacity)
    demand = capacity.max - capacity.min - spot
    bought = ("reserved", "on-demand") if capacity.reservation else ("on-demand",)
    wanted = [
        Pool(f"{capacity.by}-base", capacity.min, capacity.min, bought[:1]),
        Pool(f"{capacity.by}-demand", 0, demand, bought),
        Pool(f"{capacity.by}-spot", 0, spot, ("spot",)),
    ]
    return [pool for pool in wanted if pool.most]


def groups(capacity: Capacity) -> list[Pool]:
    """The managed node groups, which can keep a minimum and grow in one."""
    spot = spot_nodes(capacity)
    wanted = [
        Pool("gpu", capacity.min, capacity.max - spot, ("on-demand",)),
        Pool("gpu-spot", 0, spot, ("spot",)),
    ]
    return [pool for pool in wanted if pool.most]


def spot_nodes(capacity: Capacity) -> int:
    """The spot share, of the nodes above min, rounded down: never more spot than declared."""
    return (capacity.max - capacity.min) * capacity.spot_percent // 100


def gpus_per_node(capacity: Capacity) -> int:
    """What one node offers to pods: its GPUs, or their slices. Of types that differ, the fewest."""
    known = [kind for kind in map(type_of, capacity.instance_types) if kind is not None]
    return min((kind.gpus for kind in known), default=0) * capacity.slices


def node_pool(pool: Pool, capacity: Capacity) -> dict[str, Any]:
    """The spec of a NodePool (karpenter.sh/v1). A pool that is always there is of static size: it is limited
    in nodes, has no weight and is never thinned out."""
    requirements = [
        {"key": "karpenter.sh/capacity-type", "operator": "In", "values": list(pool.buying)},
        {"key": "kubernetes.io/arch", "operator": "In", "values": ["amd64"]},
        {
            "key": "node.kubernetes.io/instance-type",
            "operator": "In",
            "values": list(capacity.instance_types),
        },
    ]
    spec: dict[str, Any] = {
        "template": {
            "metadata": {"labels": {POOL_LABEL: pool.name}},
            "spec": {
                "nodeClassRef": CLASSES[capacity.by],
                "requirements": requirements,
                "taints": [TAINT],
                "expireAfter": EXPIRE,
                "terminationGracePeriod": DRAIN,
            },
        },
        "disruption": {
            "budgets": [{"nodes": "1"}],
            "consolidateAfter": IDLE,
            "consolidationPolicy": "WhenEmpty",
        },
    }
    if pool.always:
        return {**spec, "replicas": pool.least, "limits": {"nodes": str(pool.most + 1)}}
    limits = {GPU: str(pool.most * gpus_per_node(capacity))}
    return {**spec, "weight": 50 if "spot" in pool.buying else 10, "limits": limits}


def auto_class(capacity: Capacity, *, role: Any, group: Any, tag: str) -> dict[str, Any]:
    """The spec of Auto Mode's NodeClass. role: the nodes', by name; group: the id of their security group;
    both may be yet to come. tag: the value of the discovery tag of the private subnets."""
    spec: dict[str, Any] = {
        "role": role,
        "subnetSelectorTerms": [{"tags": {"karpenter.sh/discovery": tag}}],
        "securityGroupSelectorTerms": [{"id": group}],
        "ephemeralStorage": {"size": DISK},
        "networkPolicy": "DefaultAllow",
    }
    if capacity.reservation:
        spec["capacityReservationSelectorTerms"] = [{"id": capacity.reservation}]
    return spec


def karpenter_class(capacity: Capacity, *, role: Any, group: Any, tag: str) -> dict[str, Any]:
    """The spec of Karpenter's EC2NodeClass: Bottlerocket, whose GPU images bring driver and device plugin."""
    spec: dict[str, Any] = {
        "role": role,
        "amiSelectorTerms": [{"alias": "bottlerocket@latest"}],
        "subnetSelectorTerms": [{"tags": {"karpenter.sh/discovery": tag}}],
        "securityGroupSelectorTerms": [{"id": group}],
        "metadataOptions": {"httpTokens": "required", "httpPutResponseHopLimit": 1},
        "blockDeviceMappings": [
            {"deviceName": "/dev/xvda", "ebs": {"volumeSize": "4Gi", "volumeType": "gp3", "encrypted": True}},
            {"deviceName": "/dev/xvdb", "ebs": {"volumeSize": DISK, "volumeType": "gp3", "encrypted": True}},
        ],
    }
    shared = node_settings(capacity)
    if shared:
        spec["userData"] = shared
    if capacity.reservation:
        spec["capacityReservationSelectorTerms"] = [{"id": capacity.reservation}]
    return spec


def node_settings(capacity: Capacity) -> str:
    """Bottlerocket's settings for the sharing, as TOML; empty for none. Its device plugin offers the slices
    as `nvidia.com/gpu`, so that a pod asks for the same thing whether GPUs are shared or not."""
    head = "[settings.kubelet-device-plugins.nvidia]"
    if capacity.sharing == "time-slicing":
        return (
            f'{head}\ndevice-sharing-strategy = "time-slicing"\n\n'
            "[settings.kubelet-device-plugins.nvidia.time-slicing]\n"
            f"replicas = {capacity.slices}\n"
            "rename-by-default = false\nfail-requests-greater-than-one = true\n"
        )
    if capacity.sharing == "mig":
        known = [kind for kind in map(type_of, capacity.instance_types) if kind is not None]
        profiles = sorted({kind.mig for kind in known if kind.mig})
        lines = "".join(f'"{profile}" = "{capacity.slices}"\n' for profile in profiles)
        return (
            f'{head}\ndevice-partitioning-strategy = "mig"\n\n'
            f"[settings.kubelet-device-plugins.nvidia.mig.profile]\n{lines}"
        )
    return ""


def user_data(capacity: Capacity) -> str | None:
    """The same settings as a launch template takes them."""
    settings = node_settings(capacity)
    return base64.b64encode(settings.encode()).decode() if settings else None
