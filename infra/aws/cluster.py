"""A region's EKS cluster: who may reach it, who may use it, and what it keeps."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.aws.entries import entries
from infra.aws.network import Network
from infra.aws.roles import allow, document, role, trust
from infra.aws.site import Site

LOGS = ("api", "audit", "authenticator", "controllerManager", "scheduler")
BUILT_IN_POOLS = ("general-purpose", "system")
"""Auto Mode's own pools, for controllers. GPU nodes come from pools that are declared."""

AUTO_POLICIES = (
    "AmazonEKSBlockStoragePolicy",
    "AmazonEKSComputePolicy",
    "AmazonEKSLoadBalancingPolicy",
    "AmazonEKSNetworkingPolicy",
)
AUTO_NODE_POLICIES = ("AmazonEKSWorkerNodeMinimalPolicy", "AmazonEC2ContainerRegistryPullOnly")
NODE_POLICIES = ("AmazonEKSWorkerNodePolicy", "AmazonEKS_CNI_Policy", "AmazonEC2ContainerRegistryPullOnly")
ADDONS = ("vpc-cni", "kube-proxy", "eks-pod-identity-agent")
"""What a node without Auto Mode runs, so that pods can talk and take roles. DNS comes after the nodes."""


@dataclass(frozen=True)
class Cluster:
    """nodes: the role of the nodes that AWS manages. ready: what must be there before an object is made in
    the cluster, and is taken away after it."""

    resource: aws.eks.Cluster
    nodes: aws.iam.Role
    ready: tuple[pulumi.Resource, ...]

    @property
    def security_group(self) -> pulumi.Output[str]:
        """The group of all nodes and of the control plane, which EKS makes."""
        return self.resource.vpc_config.cluster_security_group_id


def cluster(site: Site, net: Network, key: aws.kms.Key) -> Cluster:
    """The cluster, with nothing in it. Its creator gets no rights by creating it: only entries give them."""
    settings = site.ground.cloud.cluster
    auto = site.ground.cloud.capacity.by == "auto"
    nodes, node_rights = role(
        site,
        "nodes",
        trust("ec2.amazonaws.com"),
        managed=AUTO_NODE_POLICIES if auto else NODE_POLICIES,
    )
    control, rights = _control_role(site, key, auto=auto)
    made = aws.eks.Cluster(
        f"cluster-{site.region}",
        name=site.cluster,
        version=settings.version,
        role_arn=control.arn,
        access_config={
            "authentication_mode": "API",
            "bootstrap_cluster_creator_admin_permissions": False,
        },
        bootstrap_self_managed_addons=False,
        vpc_config={
            "subnet_ids": net.private_ids,
            "endpoint_private_access": True,
            "endpoint_public_access": bool(settings.allow),
            "public_access_cidrs": list(settings.allow) or None,
        },
        encryption_config={"provider": {"key_arn": key.arn}, "resources": ["secrets"]},
        enabled_cluster_log_types=list(LOGS),
        upgrade_policy={"support_type": "STANDARD"},
        deletion_protection=not site.ground.settings.allow_destroy,
        compute_config={
            "enabled": auto,
            "node_pools": list(BUILT_IN_POOLS) if auto else None,
            "node_role_arn": nodes.arn if auto else None,
        },
        kubernetes_network_config={"elastic_load_balancing": {"enabled": auto}, "ip_family": "ipv4"},
        storage_config={"block_storage": {"enabled": auto}},
        region=site.region,
        tags=site.tags("cluster"),
        opts=site.options(after=[*rights, *node_rights, *net.ready, _log_group(site, key)]),
    )
    return Cluster(made, nodes, tuple([*entries(site, made), *([] if auto else _addons(site, made))]))


def _log_group(site: Site, key: aws.kms.Key) -> aws.cloudwatch.LogGroup:
    """Made before the cluster, which otherwise makes one that is kept for ever and not encrypted."""
    return aws.cloudwatch.LogGroup(
        f"cluster-{site.region}",
        name=f"/aws/eks/{site.cluster}/cluster",
        retention_in_days=site.ground.cloud.cluster.log_days,
        kms_key_id=key.arn,
        region=site.region,
        tags=site.tags("control-plane"),
        opts=site.options(),
    )


def _control_role(site: Site, key: aws.kms.Key, *, auto: bool) -> tuple[aws.iam.Role, list[pulumi.Resource]]:
    usage = ["kms:Encrypt", "kms:Decrypt", "kms:ListGrants", "kms:DescribeKey"]
    return role(
        site,
        "cluster",
        trust("eks.amazonaws.com", tagging=True),
        managed=["AmazonEKSClusterPolicy", *(AUTO_POLICIES if auto else ())],
        own=key.arn.apply(lambda arn: json.dumps(document(allow(usage, [arn])))),
    )


def _addons(site: Site, made: aws.eks.Cluster) -> list[pulumi.Resource]:
    """EKS picks the version that fits the cluster's. Network policies are enforced: the models' namespace
    relies on them."""
    configuration = {"vpc-cni": json.dumps({"enableNetworkPolicy": "true"})}
    return [
        aws.eks.Addon(
            f"addon-{site.region}-{addon}",
            cluster_name=made.name,
            addon_name=addon,
            configuration_values=configuration.get(addon),
            resolve_conflicts_on_create="OVERWRITE",
            resolve_conflicts_on_update="OVERWRITE",
            region=site.region,
            tags=site.tags(addon),
            opts=site.options(),
        )
        for addon in ADDONS
    ]
