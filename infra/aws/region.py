"""One region of the stack: network, cluster, controllers, GPU nodes and gateway."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws
import pulumi_kubernetes as k8s

from infra.aws.access import rules
from infra.aws.autoscaler import autoscaler
from infra.aws.capacity import base, capacity
from infra.aws.cluster import cluster
from infra.aws.controllers import MODELS, controllers, models_namespace
from infra.aws.definitions import definitions
from infra.aws.encryption import region_key
from infra.aws.gateway import gateway
from infra.aws.ground import Ground
from infra.aws.karpenter import karpenter
from infra.aws.kubernetes import Kubernetes, kubernetes
from infra.aws.network import network
from infra.aws.quotas import say_what_does_not_fit
from infra.aws.site import Region, Site


@dataclass(frozen=True)
class Place:
    """One region, as services, routes and the entry point need it.

    gateway: what waits for it finds a gateway that traffic reaches. balancer: its host name and ARN are what
    the entry point leads to. ready: what a service waits for.
    """

    region: str
    component: Region
    cluster: aws.eks.Cluster
    kubernetes: k8s.Provider
    namespace: str
    gateway: pulumi.Resource
    balancer: aws.lb.LoadBalancer
    ready: tuple[pulumi.Resource, ...]
    inside: Kubernetes

    @property
    def gateway_ready(self) -> tuple[pulumi.Resource, ...]:
        """What must be there before clients are sent here."""
        return (self.gateway,)

    def options(self, *, after: Sequence[pulumi.Resource] = (), **more: Any) -> pulumi.ResourceOptions:
        """The options of what serves or routes in this region's cluster: after nodes and controllers. A
        destroy takes it away itself: left to go with the cluster, it would go on while nodes are drained."""
        return self.inside.options(after=[*self.ready, *after], **{"deleted_with": None, **more})


def region(ground: Ground, name: str, *, after: Sequence[pulumi.Resource]) -> Place:
    """The whole of a region, under one component.

    Each part waits for the one before it, so that a destroy goes the other way round: routes, gateway and
    services, GPU nodes drained, controllers, cluster, network.
    """
    component = Region(name)
    site = Site(ground, name, component, tuple(after))
    say_what_does_not_fit(site)
    key = region_key(site)
    net = network(site, key)
    made = cluster(site, net, key)
    inside = kubernetes(site, made)
    floor = base(inside, net)
    under = [*floor.ready, definitions(inside)]
    running = controllers(inside, after=under)
    brings = None
    if ground.cloud.capacity.by == "karpenter":
        brings = karpenter(inside, after=under)
        running += brings.ready
    elif ground.cloud.capacity.by == "managed":
        running.append(autoscaler(inside, after=under))
    models = models_namespace(inside)
    models += rules(inside, models, controllers=running)
    nodes = capacity(inside, net, brings, after=[*under, *running])
    ready = [*models, *running, *nodes]
    front = gateway(inside, net, scaling_groups=floor.scaling_groups, after=ready)
    return Place(
        region=name,
        component=component,
        cluster=made.resource,
        kubernetes=inside.provider,
        namespace=MODELS,
        gateway=front.resource,
        balancer=front.balancer.resource,
        ready=tuple(ready),
        inside=inside,
    )
