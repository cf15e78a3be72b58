"""Managed node groups: the controllers' nodes of a cluster without Auto Mode, and GPU nodes by choice."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws

from infra.aws.capacity_pools import POOL_LABEL, TAINT, Pool, groups, user_data
from infra.aws.cluster import Cluster
from infra.aws.network import Network
from infra.aws.site import Site

SYSTEM = "system"
SYSTEM_TYPES = ("m6i.large", "m6a.large", "m5.large")
SYSTEM_NODES = 3
GPU_IMAGE = "BOTTLEROCKET_x86_64_NVIDIA"
SYSTEM_IMAGE = "BOTTLEROCKET_x86_64"
DISK_GIB = 200


def system_nodes(site: Site, net: Network, made: Cluster) -> aws.eks.NodeGroup:
    """A node a zone for Envoy and the controllers, without GPUs: what brings GPU nodes cannot run on them."""
    return aws.eks.NodeGroup(
        f"nodes-{site.region}-{SYSTEM}",
        node_group_name=SYSTEM,
        cluster_name=made.resource.name,
        node_role_arn=made.nodes.arn,
        subnet_ids=net.private_ids,
        ami_type=SYSTEM_IMAGE,
        instance_types=list(SYSTEM_TYPES),
        scaling_config={"min_size": SYSTEM_NODES, "max_size": SYSTEM_NODES, "desired_size": SYSTEM_NODES},
        update_config={"max_unavailable": 1},
        labels={POOL_LABEL: SYSTEM},
        region=site.region,
        tags=site.tags(SYSTEM),
        opts=site.options(after=[*made.ready, *net.ready]),
    )


def dns(site: Site, made: Cluster, nodes: aws.eks.NodeGroup) -> aws.eks.Addon:
    """The cluster's DNS, after the nodes: EKS calls it failed while it has nowhere to run."""
    return aws.eks.Addon(
        f"addon-{site.region}-coredns",
        cluster_name=made.resource.name,
        addon_name="coredns",
        resolve_conflicts_on_create="OVERWRITE",
        resolve_conflicts_on_update="OVERWRITE",
        region=site.region,
        tags=site.tags("coredns"),
        opts=site.options(after=[nodes]),
    )


def gpu_nodes(
    site: Site, net: Network, made: Cluster, *, after: list[pulumi.Resource]
) -> list[pulumi.Resource]:
    """The GPU node groups. Their size between least and most is the autoscaler's, so it is not put back."""
    return [_group(site, net, made, pool, after) for pool in groups(site.ground.cloud.capacity)]


def _group(
    site: Site,
    net: Network,
    made: Cluster,
    pool: Pool,
    after: list[pulumi.Resource],
) -> aws.eks.NodeGroup:
    template = _template(site, pool)
    return aws.eks.NodeGroup(
        f"nodes-{site.region}-{pool.name}",
        node_group_name=pool.name,
        cluster_name=made.resource.name,
        node_role_arn=made.nodes.arn,
        subnet_ids=net.private_ids,
        ami_type=GPU_IMAGE,
        capacity_type="SPOT" if "spot" in pool.buying else "ON_DEMAND",
        instance_types=list(site.ground.cloud.capacity.instance_types),
        launch_template={"id": template.id, "version": template.latest_version.apply(str)},
        scaling_config={"min_size": pool.least, "max_size": pool.most, "desired_size": pool.least},
        update_config={"max_unavailable": 1},
        labels={POOL_LABEL: pool.name},
        taints=[{"key": TAINT["key"], "effect": "NO_SCHEDULE"}],
        region=site.region,
        tags=site.tags(pool.name),
        opts=site.options(after=after, ignore_changes=["scalingConfig.desiredSize"]),
    )


def _template(site: Site, pool: Pool) -> aws.ec2.LaunchTemplate:
    """Encrypted disks, no metadata for pods, the sharing of GPUs, and the reservation unless spot."""
    capacity = site.ground.cloud.capacity
    reservation = None if "spot" in pool.buying else capacity.reservation
    return aws.ec2.LaunchTemplate(
        f"nodes-{site.region}-{pool.name}",
        name=site.name(pool.name),
        user_data=user_data(capacity),
        metadata_options={"http_tokens": "required", "http_put_response_hop_limit": 1},
        block_device_mappings=[
            {
                "device_name": "/dev/xvdb",
                "ebs": {"volume_size": DISK_GIB, "volume_type": "gp3", "encrypted": "true"},
            }
        ],
        capacity_reservation_specification={
            "capacity_reservation_target": {"capacity_reservation_id": reservation}
        }
        if reservation
        else None,
        update_default_version=True,
        region=site.region,
        tags=site.tags(pool.name),
        opts=site.options(),
    )
