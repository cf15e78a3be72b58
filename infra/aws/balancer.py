"""A region's load balancer: declared here and not by a controller, so that its name, its ARN and its end are
known to the program."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.aws.certificate import certificate
from infra.aws.cluster import Cluster
from infra.aws.endpoints import HTTPS
from infra.aws.network import ANYWHERE, Network
from infra.aws.site import Site

TLS_POLICY = "ELBSecurityPolicy-TLS13-1-2-2021-06"
DRAIN_SECONDS = 60
CLUSTER_TAG = "eks:eks-cluster-name"
"""Auto Mode may put pods only into a target group that carries its cluster's name here."""


@dataclass(frozen=True)
class Balancer:
    """ready: the listener, without which targets get no traffic."""

    resource: aws.lb.LoadBalancer
    targets: aws.lb.TargetGroup
    ready: tuple[pulumi.Resource, ...]


def balancer(site: Site, net: Network, made: Cluster, *, target: str, port: int) -> Balancer:
    """A network load balancer that ends TLS and passes to Envoy. target: ip (pods) or instance (nodes); port:
    where the targets listen."""
    region = site.region
    group = _groups(site, net, made, port)
    resource = aws.lb.LoadBalancer(
        f"gateway-{region}",
        load_balancer_type="network",
        internal=False,
        subnets=net.public_ids,
        security_groups=[group.id],
        enable_cross_zone_load_balancing=True,
        enable_deletion_protection=not site.ground.settings.allow_destroy,
        region=region,
        tags=site.tags("gateway"),
        opts=site.options(after=net.ready),
    )
    targets = aws.lb.TargetGroup(
        f"gateway-{region}",
        vpc_id=net.vpc.id,
        target_type=target,
        protocol="TCP",
        port=port,
        deregistration_delay=DRAIN_SECONDS,
        health_check={"protocol": "TCP", "port": "traffic-port"},
        region=region,
        tags=site.tags("gateway", **{CLUSTER_TAG: site.cluster}),
        opts=site.options(),
    )
    arn, issued = certificate(site)
    listener = aws.lb.Listener(
        f"gateway-{region}-https",
        load_balancer_arn=resource.arn,
        port=HTTPS,
        protocol="TLS",
        ssl_policy=TLS_POLICY,
        certificate_arn=arn,
        default_actions=[{"type": "forward", "target_group_arn": targets.arn}],
        region=region,
        tags=site.tags("gateway"),
        opts=site.options(after=issued),
    )
    return Balancer(resource, targets, (listener,))


def _groups(site: Site, net: Network, made: Cluster, port: int) -> aws.ec2.SecurityGroup:
    """HTTPS from anybody to the balancer; from the balancer to the nodes by Envoy's port alone."""
    region = site.region
    group = aws.ec2.SecurityGroup(
        f"gateway-{region}",
        description="Clients of the models",
        vpc_id=net.vpc.id,
        region=region,
        tags=site.tags("gateway"),
        opts=site.options(),
    )
    aws.vpc.SecurityGroupIngressRule(
        f"gateway-{region}-in",
        security_group_id=group.id,
        description="Clients",
        cidr_ipv4=ANYWHERE,
        ip_protocol="tcp",
        from_port=HTTPS,
        to_port=HTTPS,
        region=region,
        opts=site.options(),
    )
    aws.vpc.SecurityGroupEgressRule(
        f"gateway-{region}-out",
        security_group_id=group.id,
        description="To Envoy",
        referenced_security_group_id=made.security_group,
        ip_protocol="tcp",
        from_port=port,
        to_port=port,
        region=region,
        opts=site.options(),
    )
    aws.vpc.SecurityGroupIngressRule(
        f"gateway-{region}-nodes",
        security_group_id=made.security_group,
        description="From the load balancer",
        referenced_security_group_id=group.id,
        ip_protocol="tcp",
        from_port=port,
        to_port=port,
        region=region,
        opts=site.options(),
    )
    return group
