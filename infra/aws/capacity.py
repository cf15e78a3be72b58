"""GPU capacity of a region, as declared: Auto Mode's pools, Karpenter, or managed node groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws
import pulumi_kubernetes as k8s

from infra.aws.capacity_pools import CLASS, CLASSES, auto_class, karpenter_class, node_pool, pools
from infra.aws.karpenter import Karpenter
from infra.aws.kubernetes import Kubernetes
from infra.aws.network import Network
from infra.aws.nodes import dns, gpu_nodes, system_nodes

VERSIONS = {"auto": "eks.amazonaws.com/v1", "karpenter": "karpenter.k8s.aws/v1"}
DRAIN_TIMEOUT = "45m"
"""How long a destroy waits for a pool's nodes to be gone: they drain one by one."""


@dataclass(frozen=True)
class Base:
    """What controllers run on. scaling_groups: of the nodes behind the load balancer, none on Auto Mode."""

    ready: tuple[pulumi.Resource, ...]
    scaling_groups: tuple[pulumi.Output[str], ...]


def base(inside: Kubernetes, net: Network) -> Base:
    """The controllers' nodes. Auto Mode has its own, and needs to be told to heed network policies."""
    site, made = inside.site, inside.cluster
    if site.ground.cloud.capacity.by == "auto":
        policies = k8s.core.v1.ConfigMap(
            f"policies-{site.region}",
            metadata={"name": "amazon-vpc-cni", "namespace": "kube-system"},
            data={"enable-network-policy-controller": "true"},
            opts=inside.options(),
        )
        return Base((policies,), ())
    nodes = system_nodes(site, net, made)
    group = nodes.resources[0].autoscaling_groups[0].name
    return Base((nodes, dns(site, made, nodes)), (group.apply(lambda name: name or ""),))


def capacity(
    inside: Kubernetes, net: Network, brings: Karpenter | None, *, after: Sequence[pulumi.Resource]
) -> list[pulumi.Resource]:
    """The GPU nodes. What they wait for (the controllers) is still there when they are drained."""
    if inside.site.ground.cloud.capacity.by == "managed":
        return gpu_nodes(inside.site, net, inside.cluster, after=list(after))
    kind = _node_class(inside, brings, after)
    return [kind, *_pools(inside, [*after, kind])]


def _node_class(
    inside: Kubernetes, brings: Karpenter | None, after: Sequence[pulumi.Resource]
) -> pulumi.Resource:
    declared, site = inside.site.ground.cloud.capacity, inside.site
    role: aws.iam.Role = inside.cluster.nodes if brings is None else brings.nodes
    build = auto_class if declared.by == "auto" else karpenter_class
    return k8s.apiextensions.CustomResource(
        f"class-{site.region}-{CLASS}",
        api_version=VERSIONS[declared.by],
        kind=CLASSES[declared.by]["kind"],
        metadata={"name": CLASS},
        spec=build(declared, role=role.name, group=inside.cluster.security_group, tag=site.cluster),
        opts=inside.options(after=after, deleted_with=None),
    )


def _pools(inside: Kubernetes, after: Sequence[pulumi.Resource]) -> list[pulumi.Resource]:
    """One NodePool each. They are not simply gone with the cluster: nodes that nobody drained would outlive
    it and hold the network."""
    declared, region = inside.site.ground.cloud.capacity, inside.site.region
    return [
        k8s.apiextensions.CustomResource(
            f"pool-{region}-{pool.name}",
            api_version="karpenter.sh/v1",
            kind="NodePool",
            metadata={"name": pool.name},
            spec=node_pool(pool, declared),
            opts=inside.options(
                after=after,
                deleted_with=None,
                custom_timeouts=pulumi.CustomTimeouts(delete=DRAIN_TIMEOUT),
            ),
        )
        for pool in pools(declared)
    ]
